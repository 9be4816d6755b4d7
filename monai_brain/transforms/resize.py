"""Slices brought to one size."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform


class ResizeSlice(Transform):
    """A slice of (C, H, W) in any size, as (C, size, size) float32.

    Shrinking averages over the pixels that fall together, so that fine noise does not turn into
    coarse noise; growing interpolates. OpenCV does both and releases the GIL.
    """

    def __init__(self, size: int) -> None:
        self.size = int(size)

    def __call__(self, image: Any) -> Any:
        """The resized slice, of the kind it was: MetaTensor, tensor or array."""
        pixels = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
        resized = np.stack([self._channel(channel) for channel in pixels])
        if isinstance(image, MetaTensor):
            return MetaTensor(torch.from_numpy(resized), meta=image.meta)
        return torch.from_numpy(resized) if isinstance(image, torch.Tensor) else resized

    def _channel(self, channel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        height, width = channel.shape
        plain = np.ascontiguousarray(channel, dtype=np.float32)
        if (height, width) == (self.size, self.size):
            return plain
        shrinks = height >= self.size and width >= self.size
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(plain, (self.size, self.size), interpolation=way)


class ResizeSliced(MapTransform):
    """ResizeSlice for the named keys of an item."""

    def __init__(self, keys: KeysCollection, size: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.resize = ResizeSlice(size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its images resized."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.resize(item[key])
        return item
