"""One image of a breast, complete or cut, from one chain of turn, scale, shift, cut and resampling.

Both classes go through every step. The scale is drawn so that both show equally much breast: from
the room that the whole outline needs, and from the room that an outline cut like this one needs, in
either class. What remains to tell them apart is the outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from monai_brain.data.breast import Breast, reduced
from monai_brain.data.cuts import Cut, beyond, cut

COMPLETE, INCOMPLETE = "complete", "incomplete"
LOSSES = (0.02, 0.40)
_TURN = 10.0  # degrees
_MARGIN = 0.03  # of the image, around an outline that is whole
_SMALLEST = 0.6  # of the largest share of the image that the breast may cover
_AT_CHEST, _AT_TOP = 0.7, 0.5  # how often these sides of the film lie at the image's edge
_FINE, _TIMES = 1024, 4  # pixels of the image's side before it is averaged down, and how many for one
_HALF_SHADOW = 0.012  # of the image's side


@dataclass(frozen=True)
class Variant:
    """An image to make: which class, and the cut that is made, or that a complete one is scaled for."""

    class_name: str
    fault: str
    loss: float


@dataclass(frozen=True)
class Made:
    """An image and how it came about.

    Attributes:
        image: (size, size) uint8, exactly 0 where there is no breast.
        loss: The share of the breast that was cut off, measured; 0 in a complete image.
        turn: Degrees by which the film was turned, clockwise.
        chest_wall: "left" or "right".
    """

    image: np.ndarray
    loss: float
    turn: float
    chest_wall: str


def make(breast: Breast, variant: Variant, size: int, draw: np.random.Generator) -> Made:
    """The image of a variant of a breast.

    Args:
        breast: A breast whose outline is whole.
        variant: What to make of it.
        size: The sides of the image in pixels.
        draw: Where turn, scale and place come from.
    """
    turn = float(draw.uniform(-_TURN, _TURN))
    to_frame, (mask, proper) = _turned(breast, turn)
    fault = cut(proper, variant.fault, variant.loss, draw)
    rows, columns = np.indices(mask.shape)
    inside = beyond(fault.edges, np.add(columns, 0.5), np.add(rows, 0.5)) <= 0
    share = draw.uniform(_SMALLEST, 1) * min(_room(mask), _room(mask * inside))
    whole = variant.class_name == COMPLETE
    visible = mask if whole else mask * inside
    side = float(np.sqrt(visible.sum() / share))
    left, top = _corner(visible, side, breast.reaches_top, frozenset() if whole else fault.flush, draw)
    image = _rendered(breast, to_frame, (left, top), side, size, None if whole else fault)
    mirrored = bool(draw.random() < 0.5)
    return Made(
        np.ascontiguousarray(image[:, ::-1] if mirrored else image),
        0.0 if whole else fault.loss,
        -turn if mirrored else turn,
        "right" if mirrored else "left",
    )


def _turned(breast: Breast, degrees: float) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The matrix from the film's pixels to a frame that holds the turned film, and both masks there."""
    height, width = breast.mask.shape
    reach = int(np.ceil(np.hypot(height, width)))
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    from_mask = _moved(reach / 2, reach / 2) @ turn @ _moved(-width / 2, -height / 2)
    masks = [
        cv2.warpAffine(part, _pixels(from_mask)[:2], (reach, reach), flags=cv2.INTER_NEAREST)
        for part in (breast.mask, breast.proper)
    ]
    scale = np.diag([width / breast.grey.shape[1], height / breast.grey.shape[0], 1.0])
    return from_mask @ scale, (masks[0], masks[1])


def _room(visible: np.ndarray) -> float:
    """The largest share of a square image that the visible part can cover with margins around it."""
    _, _, width, height = cv2.boundingRect(visible.astype(np.uint8))
    return float(visible.sum()) / (max(width, height) / (1 - 2 * _MARGIN)) ** 2


def _corner(
    visible: np.ndarray, side: float, reaches_top: bool, flush: frozenset[str], draw: np.random.Generator
) -> tuple[float, float]:
    """The place of the image's upper left corner in the frame."""
    x, y, width, height = cv2.boundingRect(visible.astype(np.uint8))
    margin = _MARGIN * side
    at_chest, at_top, across, down = draw.random(), draw.random(), draw.random(), draw.random()
    before = 0.0 if at_chest < _AT_CHEST else across * max(0.0, side - width - margin)
    if "bottom" in flush:
        above = side - height
    elif "top" in flush or (reaches_top and at_top < _AT_TOP):
        above = 0.0
    else:
        above = margin + down * max(0.0, side - height - 2 * margin)
    return x - before, y - above


def _rendered(
    breast: Breast,
    to_frame: np.ndarray,
    corner: tuple[float, float],
    side: float,
    size: int,
    fault: Cut | None,
) -> np.ndarray:
    fine = size * min(_TIMES, max(1, _FINE // size))
    # A film with more pixels than can be seen is averaged first, so that none of them are skipped over.
    grey = reduced(breast.grey, fine)
    to_frame = to_frame @ np.diag(
        [breast.grey.shape[1] / grey.shape[1], breast.grey.shape[0] / grey.shape[0], 1]
    )
    scale = fine / side
    to_image = np.diag([scale, scale, 1.0]) @ _moved(-corner[0], -corner[1]) @ to_frame
    image = cv2.warpAffine(grey, _pixels(to_image)[:2], (fine, fine), flags=cv2.INTER_LINEAR)
    # Without a fault the same product is taken with ones: the steps are the same for both classes.
    image = image * _open_field(fault, corner, scale, fine)
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _open_field(fault: Cut | None, corner: tuple[float, float], scale: float, fine: int) -> np.ndarray:
    """How much light comes through at each pixel, from 0 to 1."""
    if fault is None:
        return np.ones((fine, fine), np.float32)
    centres = (np.arange(fine) + 0.5) / scale
    away = beyond(fault.edges, centres[None] + corner[0], centres[:, None] + corner[1]) * scale
    width = _HALF_SHADOW * fine if fault.soft else 1.0
    return np.clip(0.5 - away / width, 0, 1).astype(np.float32)


def _moved(right: float, down: float) -> np.ndarray:
    return np.array([[1.0, 0, right], [0, 1.0, down], [0, 0, 1.0]])


def _pixels(matrix: np.ndarray) -> np.ndarray:
    """A matrix between places as one between pixel indices, whose centres lie half a pixel further."""
    return _moved(-0.5, -0.5) @ matrix @ _moved(0.5, 0.5)
