"""Faults of any grey image: blur, contrast, rotation, JPEG, down-sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from monai.transforms.intensity.array import AdjustContrast, GaussianSmooth
from monai.transforms.spatial.array import Rotate

WHITE = 255.0
Image = np.ndarray[Any, Any]
Draw = Callable[[Image, float, np.random.Generator], Image]


def blur(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image under a Gaussian whose standard deviation is `strength` sides of the image."""
    return one_channel(GaussianSmooth(strength * max(image.shape)), image)


def contrast(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image on a gamma curve with the exponent `strength` or one over it; black and white stay."""
    gamma = strength if draw.random() < 0.5 else 1 / strength
    if image.min() == image.max():
        return image
    return one_channel(AdjustContrast(gamma), image)


def rotation(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image turned about its centre by `strength` degrees, black where nothing was."""
    angle = np.deg2rad(strength) * (1 if draw.random() < 0.5 else -1)
    turn = Rotate(float(angle), keep_size=True, mode="bilinear", padding_mode="zeros", align_corners=False)
    return one_channel(turn, image)


def jpeg(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image written as JPEG of quality `strength`, and read again."""
    eight_bits = np.clip(np.rint(image), 0, WHITE).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, round(strength)]
    written = cv2.imencode(".jpg", eight_bits, quality)[1]
    return np.asarray(cv2.imdecode(written, cv2.IMREAD_GRAYSCALE), dtype=np.float32)


def down_sampling(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image averaged into pixels `strength` times as large, and interpolated to its size again."""
    height, width = image.shape
    small = (max(1, round(width / strength)), max(1, round(height / strength)))
    averaged = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(averaged, (width, height), interpolation=cv2.INTER_LINEAR))


def one_channel(transform: Callable[[Image], Any], image: Image) -> Image:
    """What a transform of MONAI for (C, H, W) makes of (H, W)."""
    return np.asarray(transform(image[None].copy()))[0].astype(np.float32)
