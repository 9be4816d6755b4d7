"""Rare classes drawn as often as common ones, without copies of their images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from monai_brain.errors import ConfigurationError


class BalancedSampler(Sampler[int]):
    """Places of items, drawn with replacement so that each class is as likely as every other.

    For `train#dataloader#sampler` in place of shuffling. The draws of an epoch follow from the seed and
    the epoch's number alone, which the recipes' ReseedEachEpoch tells it by `set_epoch`.

    Args:
        items: The training items, each with its label.
        seed: Another seed, other draws.
        size: How many draws make an epoch; as many as there are items unless given.

    Raises:
        ConfigurationError: There is no item, or size is below 1.
    """

    def __init__(self, items: Sequence[Mapping[str, Any]], seed: int = 0, size: int | None = None) -> None:
        labels = [int(item["label"]) for item in items]
        if not labels or (size is not None and size < 1):
            raise ConfigurationError(f"{len(labels)} items, size {size!r}: expected at least 1 of each.")
        counts = Counter(labels)
        self.weights = torch.tensor([1 / counts[label] for label in labels], dtype=torch.float64)
        self.seed, self.size, self.epoch = int(seed), size or len(labels), 0

    def set_epoch(self, epoch: int) -> None:
        """Draw anew for this epoch."""
        self.epoch = int(epoch)

    def __iter__(self) -> Iterator[int]:
        """The places, in the order in which they were drawn."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        drawn = torch.multinomial(self.weights, self.size, replacement=True, generator=generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        """How many draws make an epoch."""
        return self.size
