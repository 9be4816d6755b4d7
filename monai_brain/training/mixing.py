"""Batches mixed on their way into the network, with labels to match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.engines.utils import PrepareBatch
from torch.nn.functional import one_hot

from monai_brain.transforms import batched_mix


class MixedBatch(PrepareBatch):
    """Images and labels on the device, mixed by MixUp or CutMix: the labels then are shares of the classes.

    It works on whole batches of whichever loader, and on the device. A batch that is left alone has
    labels of the same form, so that nothing behind it needs to know.

    Args:
        num_classes: Of the labels.
        mixup: Alpha of MixUp, 0 for none.
        cutmix: Alpha of CutMix, 0 for none.
        probability: Of a batch to be mixed.
    """

    def __init__(
        self, num_classes: int, mixup: float = 0.0, cutmix: float = 0.0, probability: float = 1.0
    ) -> None:
        self.num_classes = int(num_classes)
        self.mixup, self.cutmix, self.probability = float(mixup), float(cutmix), float(probability)

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, C, H, W) and shares of the classes (B, classes)."""
        image = batchdata["image"].to(device=device, non_blocking=non_blocking, **kwargs)
        label = one_hot(batchdata["label"].to(device=device, non_blocking=non_blocking), self.num_classes)
        # One draw from the stream that the epoch's seed began, as torch's loaders take theirs from it.
        seed = int(torch.empty((), dtype=torch.int64).random_().item())
        mix = batched_mix.draw(
            len(image),
            (int(image.shape[2]), int(image.shape[3])),
            self.mixup,
            self.cutmix,
            self.probability,
            torch.Generator().manual_seed(seed),
        )
        if mix is None:
            return image, label.to(image.dtype)
        return batched_mix.mixed(image, mix), batched_mix.mixed(label.to(image.dtype), mix, labels=True)


def scored(output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions and label indices of an iteration, for a metric; of a mixed image the greater share."""
    label = output["label"]
    return output["pred"], label.argmax(dim=1) if label.ndim == 2 else label
