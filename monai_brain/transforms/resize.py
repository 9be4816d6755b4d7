"""Slices brought to one size."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys


class ResizeSlice(InvertibleTransform):
    """A slice of (C, H, W) in any size, as (C, size, size) float32.

    Shrinking averages over the pixels that fall together, so that fine noise does not turn into
    coarse noise; growing interpolates. OpenCV does both and releases the GIL. A MetaTensor records
    its size, so that `inverse` brings what was found on the resized slice back to the slice.
    """

    def __init__(self, size: int) -> None:
        self.size = int(size)

    def __call__(self, image: Any) -> Any:
        """The resized slice, of the kind it was: MetaTensor, tensor or array."""
        resized = _resized(image, self.size, self.size)
        if isinstance(resized, MetaTensor):
            self.push_transform(resized, orig_size=tuple(image.shape[1:]))
        return resized

    def inverse(self, data: Any) -> Any:
        """A MetaTensor in the size that was before; it must carry the record of the forward call."""
        height, width = self.pop_transform(data)[TraceKeys.ORIG_SIZE]
        return _resized(data, int(height), int(width))


class ResizeSliced(MapTransform, InvertibleTransform):
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

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its images in the size that was before."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.resize.inverse(item[key])
        return item


def _resized(image: Any, height: int, width: int) -> Any:
    pixels = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    resized = np.stack([_channel(channel, height, width) for channel in pixels])
    if isinstance(image, MetaTensor):
        done = list(image.applied_operations)
        return MetaTensor(torch.from_numpy(resized), meta=image.meta, applied_operations=done)
    return torch.from_numpy(resized) if isinstance(image, torch.Tensor) else resized


def _channel(channel: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    plain = np.ascontiguousarray(channel, dtype=np.float32)
    if channel.shape == (height, width):
        return plain
    shrinks = channel.shape[0] >= height and channel.shape[1] >= width
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plain, (width, height), interpolation=way))
