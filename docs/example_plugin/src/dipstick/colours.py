"""Photographs in colour: monai_brain's own reader gives grey images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.image_reader import ImageReader
from monai_brain.errors import DataError

PathLike = str | os.PathLike[str]


class ColourReader(ImageReader):
    """(H, W, 3) uint8 of a picture, upright, red first; the recipes name it in their first transform."""

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """True: the content decides."""
        return True

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Path:
        """The path, unread: an error in `read` would send MONAI to its other readers."""
        return Path(data if isinstance(data, str | os.PathLike) else data[0])

    def get_data(self, img: Path) -> tuple[np.ndarray, dict[str, Any]]:
        """The image, and what MONAI must know of it."""
        from PIL import Image, ImageOps

        try:
            with Image.open(img) as picture:
                pixels = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
        except Exception as error:
            raise DataError(f"{img.name}: cannot be read as a picture ({type(error).__name__}).") from error
        meta = {
            "affine": np.eye(4),
            "original_channel_dim": -1,
            "spatial_shape": np.asarray(pixels.shape[:2]),
            "stored_dtype": str(pixels.dtype),
        }
        return pixels, meta
