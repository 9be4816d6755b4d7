"""The breast on a whole mammogram: apart from labels, markers and film edges, chest wall on the left.

Written for mediolateral oblique films such as mini-MIAS, where paper labels, tape and scanner frames
stand beside the breast, and the axilla runs out of the film at its top. Craniocaudal views and
detector images are simpler cases of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from monai_brain.errors import DataError

WORK = 512  # pixels of the longer side of a mask
_MOST = 2048  # a larger image is reduced first; no made image shows more
_DARKEST = 6.0  # grey values of an empty film, at least
_SKIN = 0.18  # of Otsu's threshold: where the skin's shadow begins
_THIN = 9 / WORK  # half the width of frames and lines, which are taken off
_TAPE = 29 / WORK  # the height of tape; odd, so that nothing is shifted
_SHADOW = 10 / WORK  # the skin's fading shadow around the mask
_LEAST, _LARGEST = 0.03, 0.95  # share of the image that a breast covers
_STRIP = 0.2  # narrower than this share of the breast's width, what lies below it is belly
_CUT = 0.15  # wider than this at the film's bottom, the breast is cut there
_BOTTOM = 6  # rows of the mask above the film's last: nearer to it, the skin's shadow is cut


@dataclass(frozen=True)
class Breast:
    """A breast, mirrored where needed so that its chest wall is on the left.

    Attributes:
        grey: (H, W) float32 on 0..255; 0 beyond the breast and its fading edge.
        mask: (h, w) uint8, 1 in all that belongs to the body, with the longer side `WORK`.
        proper: The mask without a strip of belly below the breast along the chest wall.
        mirrored: Whether the chest wall was on the right.
        cut: Where the outline is already cut, in words, or "".
    """

    grey: np.ndarray
    mask: np.ndarray
    proper: np.ndarray
    mirrored: bool
    cut: str

    @property
    def reaches_top(self) -> bool:
        """Whether the body leaves the film at the top, as the axilla does in oblique views."""
        return bool(self.mask[0].any())


def find(image: np.ndarray) -> Breast:
    """The breast on an image in any stored type, 8-bit values as they are, others stretched to 0..255.

    Raises:
        DataError: Nothing on it looks like one breast.
    """
    grey = reduced(_grey(image), _MOST)
    small = _scaled(grey, WORK / max(grey.shape))
    mask = _mask(cv2.medianBlur(np.rint(small).astype(np.uint8), 5))
    covered = float(mask.mean())
    if not _LEAST <= covered <= _LARGEST:
        raise DataError(
            f"no breast found: the largest bright area covers {covered:.0%} of the image, "
            f"expected {_LEAST:.0%} to {_LARGEST:.0%} on dark ground"
        )
    mirrored = _chest_is_right(mask)
    if mirrored:
        grey, mask = grey[:, ::-1], mask[:, ::-1]
    mask = np.ascontiguousarray(mask)
    return Breast(_without_ground(grey, mask), mask, _proper(mask), mirrored, _where_cut(mask))


def _grey(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image.astype(np.float32)
    values = np.nan_to_num(image.astype(np.float64), nan=0.0)
    low, high = values.min(), values.max()
    return ((values - low) * (255.0 / max(high - low, 1e-9))).astype(np.float32)


def reduced(image: np.ndarray, most: int) -> np.ndarray:
    """The image, averaged down where its longer side has more than `most` pixels."""
    return _scaled(image, min(1.0, most / max(image.shape)))


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=way))


def _mask(image: np.ndarray) -> np.ndarray:
    lit = image[image > 0]
    if lit.size == 0:
        return np.zeros_like(image)
    otsu = cv2.threshold(lit[None], 0, 255, cv2.THRESH_OTSU)[0]
    mask = (image > max(_DARKEST, _SKIN * otsu)).astype(np.uint8)
    radius = round(_THIN * WORK)
    edge = 3 * radius
    # Tape lies across the top of the film: what is not higher than tape goes, where nothing is below it.
    tape = np.ones((round(_TAPE * WORK), 1), np.uint8)
    high = cv2.morphologyEx(mask, cv2.MORPH_OPEN, tape, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    grown = cv2.copyMakeBorder(high, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(grown, cv2.MORPH_OPEN, _disc(radius))[edge:-edge, edge:-edge]
    count, parts, sizes, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(opened), connectivity=4)
    if count < 2:
        return np.zeros_like(mask)
    largest = (parts == 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    outlines = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    return np.asarray(cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, cv2.FILLED))


def _chest_is_right(mask: np.ndarray) -> bool:
    """Whether the side on which the breast ends abruptly is the right one: the skin rounds off."""
    columns = np.flatnonzero(mask.any(axis=0))
    band = max(2, len(columns) // 50)
    heights = mask.sum(axis=0)[columns[0] : columns[-1] + 1]
    return bool(heights[-band:].sum() > heights[:band].sum())


def _without_ground(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with everything beyond the breast at 0; its edge fades, as the skin's shadow does."""
    grown = cv2.dilate(mask, _disc(round(_SHADOW * WORK))).astype(np.float32)
    soft = cv2.GaussianBlur(grown, (0, 0), 0.4 * _SHADOW * WORK)
    soft = cv2.resize(soft, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(grey * np.clip(1.5 * soft - 0.25, 0, 1)).astype(np.float32)


def _proper(mask: np.ndarray) -> np.ndarray:
    widths = mask.sum(axis=1)
    rows = np.flatnonzero(widths >= _STRIP * widths.max())
    proper = mask.copy()
    proper[rows[-1] + 1 :] = 0
    return proper


def _where_cut(mask: np.ndarray) -> str:
    bottom = mask[-_BOTTOM].sum() / mask.sum(axis=1).max()
    if bottom > _CUT:
        return f"the film's bottom cuts it over {bottom:.0%} of its width"
    side = mask[:, -2].sum() / mask.any(axis=1).sum()
    return (
        f"the film's edge opposite the chest wall cuts it over {side:.0%} of its height" if side > 0 else ""
    )


def _disc(radius: int) -> np.ndarray:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))
