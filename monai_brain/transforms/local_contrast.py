"""Contrast evened out tile by tile, as far as a limit lets it: CLAHE."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from monai.config import NdarrayOrTensor
from monai.transforms.transform import Transform
from monai.utils import TransformBackends

from monai_brain.errors import ConfigurationError
from monai_brain.transforms.per_key import PerKey, as_array, as_kind


class LocalContrast(Transform):
    """Contrast-limited adaptive histogram equalisation of each channel on the grey scale 0..255; float32.

    Grey values are rounded to 8 bits first, as OpenCV's CLAHE wants them. A constant image stays as it is.

    Args:
        limit: How many times its even share a bin of a tile's histogram may hold; the rest is spread.
        tiles: How many tiles there are along each side; never more than pixels.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  MONAI's attribute

    def __init__(self, limit: float = 2.0, tiles: int = 8) -> None:
        if not limit > 0:
            raise ConfigurationError(f"limit is {limit!r}. Expected a number above 0.")
        if tiles < 1:
            raise ConfigurationError(f"tiles is {tiles!r}. Expected at least 1.")
        self.limit, self.tiles = float(limit), int(tiles)

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """The image, (C, H, W) on 0..255, of the kind it came in."""
        values = as_array(img).astype(np.float64)
        return as_kind(np.stack([self._channel(one) for one in values]) if len(values) else values, img)

    def _channel(self, values: np.ndarray) -> np.ndarray:
        if not values.size or not (np.ptp(values) > 0):
            return values
        grey = np.nan_to_num(values).clip(0, 255).round().astype(np.uint8)
        height, width = grey.shape
        tiles = (min(self.tiles, width), min(self.tiles, height))
        return np.asarray(cv2.createCLAHE(self.limit, tiles).apply(np.ascontiguousarray(grey)))


class LocalContrastd(PerKey):
    """`LocalContrast` for the images under `keys` of a dict: LocalContrastd("image", limit=2.0)."""

    kind: ClassVar[type] = LocalContrast
