"""The state of every global generator, to go on in the middle of an epoch as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch


def state() -> dict[str, Any]:
    """What Python, NumPy and torch have drawn so far, in types that torch.load takes as plain data."""
    name, keys, position, has_gauss, gauss = np.random.get_state()
    found = {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def restore(saved: Mapping[str, Any]) -> None:
    """Draw on from there."""
    random.setstate(saved["python"])
    name, keys, *rest = saved["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(saved["torch"])
    if "cuda" in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["cuda"][: torch.cuda.device_count()])


class Continued:
    """A loader whose first pass leaves out the batches that were trained on before.

    They are loaded all the same, so that whatever draws random numbers per image has drawn them; then
    `arrived` is called, and the rest of the epoch is what it would have been.
    """

    def __init__(self, loader: Any, done: int, arrived: Callable[[], None]) -> None:
        self.loader, self.done, self.arrived = loader, done, arrived

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        done, self.done = self.done, 0
        if done:
            for _ in islice(batches, done):
                pass
            self.arrived()
        return batches
