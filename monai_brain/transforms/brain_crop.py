"""The brain's bounding box in an 8-bit slice, and the MONAI transforms that cut to it.

The steps are those of Guo, Lyu, Wang and Zhao (DOI 10.19651/j.cnki.emt.2519530), section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Crop, Cropd, Randomizable

from monai_brain.errors import ConfigurationError, DataError

Box = tuple[int, int, int, int]


def brain_box(
    image: np.ndarray,
    threshold: float = 50,
    blur: int = 5,
    erosions: int = 2,
    dilations: int = 2,
    margin: int = 12,
) -> Box:
    """The box (top, bottom, left, right) that holds the brain: `image[top:bottom, left:right]` cuts it.

    Grey levels below `threshold` become zero; a Gaussian blur, erosions and dilations by a 3 x 3
    square follow; the outer contour of largest area gives the box, grown by `margin` pixels as far
    as the image reaches.

    Args:
        image: A slice of shape (H, W) on the grey scale 0 to 255, of any real type.
        threshold: The lowest grey level that is kept.
        blur: Width of the Gaussian kernel, odd.
        erosions: Number of erosions.
        dilations: Number of dilations.
        margin: Pixels added on each side; the paper says 10 to 15.

    Returns:
        The box, end-exclusive; the whole image where nothing is found.
    """
    _check(blur, erosions, dilations, margin)
    if image.ndim != 2:
        raise DataError(f"The brain crop needs a slice of shape (H, W), got shape {tuple(image.shape)}.")
    height, width = image.shape
    if image.size == 0:
        return 0, height, 0, width
    grey = _thresholded(image, threshold)
    # Where all is zero, every step leaves zeros: only what surrounds the kept pixels is worked on.
    # The frame is wide enough for the cut's edge to stay empty, so the contours are the same.
    x, y, w, h = cv2.boundingRect(grey)
    if w == 0:
        return 0, height, 0, width
    frame = blur // 2 + dilations + 1
    y0, x0 = max(y - frame, 0), max(x - frame, 0)
    grey = cv2.GaussianBlur(grey[y0 : y + h + frame, x0 : x + w + frame], (blur, blur), 0)
    grey = cv2.erode(grey, None, iterations=erosions)
    grey = cv2.dilate(grey, None, iterations=dilations)
    contours, _ = cv2.findContours(grey, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return 0, height, 0, width
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    x, y = x + x0, y + y0
    return max(y - margin, 0), min(y + h + margin, height), max(x - margin, 0), min(x + w + margin, width)


class BrainCrop(Crop):
    """The image cut to its brain; the image itself where none is found.

    It takes a (C, H, W) array or tensor on the grey scale 0 to 255 and gives the same type. Of
    several channels, the mean decides. A MetaTensor records the cut, so `inverse` pads it back.

    Args:
        threshold: The lowest grey level that is kept.
        blur: Width of the Gaussian kernel, odd.
        erosions: Number of erosions.
        dilations: Number of dilations.
        margin: Pixels added on each side.
    """

    def __init__(
        self, threshold: float = 50, blur: int = 5, erosions: int = 2, dilations: int = 2, margin: int = 12
    ) -> None:
        super().__init__()
        _check(blur, erosions, dilations, margin)
        self.threshold, self.blur, self.margin = threshold, blur, margin
        self.erosions, self.dilations = erosions, dilations

    @property
    def requires_current_data(self) -> bool:
        """True: the box is found in the grey levels, so pending transforms must be applied first."""
        return True

    def box(self, img: Any) -> Box:
        """The box (top, bottom, left, right) that the next cut of this image would use."""
        return brain_box(
            _slice_of(img), self.threshold, self.blur, self.erosions, self.dilations, self.margin
        )

    def cut(self, img: Any, box: Box, lazy: bool | None = None) -> Any:
        """The image inside the box."""
        top, bottom, left, right = box
        if isinstance(img, MetaTensor):
            return super().__call__(img, (slice(top, bottom), slice(left, right)), lazy=lazy)
        return img[:, top:bottom, left:right]

    def __call__(self, img: Any, lazy: bool | None = None) -> Any:
        """The image cut to its brain."""
        return self.cut(img, self.box(img), lazy)


class RandBrainCrop(Randomizable, BrainCrop):
    """The image cut to its brain with a margin drawn anew for each image, for training.

    Args:
        threshold, blur, erosions, dilations: As for BrainCrop.
        margin: The least and the greatest margin, both drawn.
    """

    def __init__(
        self,
        threshold: float = 50,
        blur: int = 5,
        erosions: int = 2,
        dilations: int = 2,
        margin: tuple[int, int] = (10, 15),
    ) -> None:
        low, high = margin
        if not 0 <= low <= high:
            raise ConfigurationError(
                f"margin must be two whole numbers, 0 <= least <= greatest, got {margin}."
            )
        super().__init__(threshold, blur, erosions, dilations, low)
        self.margins = (int(low), int(high))

    def randomize(self, data: Any = None) -> None:
        """Draw the margin of the next cut."""
        low, high = self.margins
        self.margin = int(self.R.randint(low, high + 1))

    def __call__(self, img: Any, lazy: bool | None = None, randomize: bool = True) -> Any:
        """The image cut to its brain; `randomize=False` keeps the margin drawn last."""
        if randomize:
            self.randomize()
        return super().__call__(img, lazy)


class BrainCropd(Cropd):
    """Every named item cut to the brain that stands in one of them.

    Args:
        keys: The items to cut.
        source_key: The item in which the brain is sought; the first of `keys` by default.
        threshold, blur, erosions, dilations: As for BrainCrop.
        margin: Pixels added on each side.
        allow_missing_keys: Pass over items that a dictionary lacks.
    """

    cropper: BrainCrop

    def __init__(
        self,
        keys: KeysCollection,
        source_key: Hashable | None = None,
        threshold: float = 50,
        blur: int = 5,
        erosions: int = 2,
        dilations: int = 2,
        margin: int = 12,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, BrainCrop(threshold, blur, erosions, dilations, margin), allow_missing_keys)
        self.source_key = source_key

    @property
    def requires_current_data(self) -> bool:
        """True: the box is found in the grey levels, so pending transforms must be applied first."""
        return True

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        """The dictionary with its items cut."""
        items = dict(data)
        source = self.first_key(items) if self.source_key is None else self.source_key
        if source not in items:
            if self.source_key is None:
                return items
            raise DataError(f"The brain crop looks for {source!r}, the item holds {sorted(map(str, items))}.")
        box = self.cropper.box(items[source])
        for key in self.key_iterator(items):
            items[key] = self.cropper.cut(items[key], box, lazy)
        return items


class RandBrainCropd(Randomizable, BrainCropd):
    """Every named item cut to the brain in one of them, with a margin drawn anew for each dictionary.

    Args:
        keys: The items to cut.
        source_key: The item in which the brain is sought; the first of `keys` by default.
        threshold, blur, erosions, dilations: As for BrainCrop.
        margin: The least and the greatest margin, both drawn.
        allow_missing_keys: Pass over items that a dictionary lacks.
    """

    cropper: RandBrainCrop

    def __init__(
        self,
        keys: KeysCollection,
        source_key: Hashable | None = None,
        threshold: float = 50,
        blur: int = 5,
        erosions: int = 2,
        dilations: int = 2,
        margin: tuple[int, int] = (10, 15),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(
            keys, source_key, threshold, blur, erosions, dilations, allow_missing_keys=allow_missing_keys
        )
        self.cropper = RandBrainCrop(threshold, blur, erosions, dilations, margin)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandBrainCropd:
        """Seed the draw of the margin."""
        self.cropper.set_random_state(seed, state)
        return self

    def randomize(self, data: Any = None) -> None:
        """Draw the margin of the next cut."""
        self.cropper.randomize()

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        """The dictionary with its items cut."""
        self.randomize()
        return super().__call__(data, lazy)


def _check(blur: int, erosions: int, dilations: int, margin: int) -> None:
    if blur < 1 or blur % 2 == 0:
        raise ConfigurationError(f"blur must be an odd width in pixels, 1 for none, got {blur}.")
    for name, value in (("erosions", erosions), ("dilations", dilations), ("margin", margin)):
        if value < 0:
            raise ConfigurationError(f"{name} must not be negative, got {value}.")


def _thresholded(image: np.ndarray, threshold: float) -> np.ndarray:
    """The slice as 8-bit grey levels, zero below the threshold.

    The threshold is applied before fractions are rounded: 49.7 is below 50. NaN is below any.
    """
    if image.dtype == np.uint8:
        return cv2.threshold(image, math.ceil(threshold) - 1, 0, cv2.THRESH_TOZERO)[1]
    if image.dtype not in (np.float32, np.float64):
        image = image.astype(np.float32)
    # OpenCV keeps what is greater than its threshold.
    below = float(np.nextafter(image.dtype.type(threshold), image.dtype.type(-np.inf)))
    return cv2.convertScaleAbs(cv2.threshold(image, below, 0, cv2.THRESH_TOZERO)[1])


def _slice_of(img: Any) -> np.ndarray:
    """The (H, W) array in which the brain of a (C, H, W) image is sought."""
    if img.ndim != 3 or img.shape[0] == 0:
        raise DataError(f"The brain crop needs an image of shape (C, H, W), got shape {tuple(img.shape)}.")
    if isinstance(img, torch.Tensor):
        plain = img.as_tensor() if isinstance(img, MetaTensor) else img
        img = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy(force=True)
    if img.shape[0] == 1:
        return np.asarray(img[0])
    return np.asarray(img.mean(axis=0, dtype=np.float32))
