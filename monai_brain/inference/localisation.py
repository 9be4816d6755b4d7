"""How well maps point at what a radiologist has boxed, beside what needs no model at all.

Three measures for an image with a box: whether the map's peak lies in the box (the pointing game), the
overlap (intersection over union) of the box with the smallest box around what lies above half of the map's
peak, and the share of the map's sum that lies in the box. Three baselines: the image's centre as the peak,
the same network with random weights, and the ceiling that a map of the layer's size can reach in the
pointing game when its cell lies best.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monai_brain.errors import DataError
from monai_brain.evaluation.intervals import DRAWS
from monai_brain.evaluation.rates import mean_of

ABOVE = 0.5  # of the peak, for the map's own box
MEASURES = ("pointing", "iou", "energy_inside")
Heat = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Box:
    """A box in pixels of its image: rows top to bottom, columns left to right, ends exclusive."""

    top: float
    left: float
    bottom: float
    right: float

    @property
    def area(self) -> float:
        """Its size in pixels; 0 where it is turned inside out."""
        return max(0.0, self.bottom - self.top) * max(0.0, self.right - self.left)

    def holds(self, row: float, column: float) -> bool:
        """Whether a point lies in it."""
        return self.top <= row < self.bottom and self.left <= column < self.right

    def overlap(self, other: Box) -> float:
        """Intersection over union."""
        both = Box(
            max(self.top, other.top), max(self.left, other.left),
            min(self.bottom, other.bottom), min(self.right, other.right),
        ).area  # fmt: skip
        either = self.area + other.area - both
        return both / either if either > 0 else 0.0

    @classmethod
    def of(cls, text: str, shape: tuple[int, int]) -> Box:
        """The box written as "x y w h": centre, width and height in fractions of an image of (H, W).

        Raises:
            DataError: It is none.
        """
        try:
            x, y, width, height = (float(part) for part in text.replace(",", " ").split())
        except ValueError:
            raise DataError(f"{text!r} is no box. Expected four fractions of the image: x y w h.") from None
        if not (0 < width <= 1 and 0 < height <= 1 and 0 <= x <= 1 and 0 <= y <= 1):
            raise DataError(f"{text!r} is no box within the image. Expected fractions from 0 to 1: x y w h.")
        rows, columns = shape
        return cls(
            (y - height / 2) * rows,
            (x - width / 2) * columns,
            (y + height / 2) * rows,
            (x + width / 2) * columns,
        )


def measured(heat: Heat, box: Box) -> dict[str, float]:
    """The three measures of one map (H, W); a map without any evidence hits nothing."""
    peak = float(heat.max())
    if peak <= 0:
        return dict.fromkeys(MEASURES, 0.0)
    at = np.argwhere(heat >= peak).mean(axis=0)  # the middle of a peak that is flat
    rows, columns = np.nonzero(heat >= ABOVE * peak)
    seen = Box(float(rows.min()), float(columns.min()), float(rows.max() + 1), float(columns.max() + 1))
    top, left = max(0, round(box.top)), max(0, round(box.left))
    inside = float(heat[top : round(box.bottom), left : round(box.right)].sum())
    return {
        "pointing": float(box.holds(float(at[0]), float(at[1]))),
        "iou": seen.overlap(box),
        "energy_inside": inside / float(heat.sum()),
    }


def centre_hits(shape: tuple[int, int], box: Box) -> float:
    """1 if the image's centre lies in the box, else 0."""
    return float(box.holds((shape[0] - 1) / 2, (shape[1] - 1) / 2))


def ceiling_hits(shape: tuple[int, int], box: Box, grid: int) -> float:
    """1 if the centre of some cell of a grid laid over the image lies in the box, else 0."""
    centres = [[(cell + 0.5) * size / grid - 0.5 for cell in range(grid)] for size in shape]
    return float(any(box.top <= row < box.bottom for row in centres[0])) * float(
        any(box.left <= column < box.right for column in centres[1])
    )


def summary(
    rows: Sequence[Mapping[str, float]], groups: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, dict[str, float | None]]:
    """The mean of each column with its 95 % interval; whole groups are drawn, not images.

    Args:
        rows: The measures of each image.
        groups: What each image belongs to.
        draws: Bootstrap draws.
        seed: Of the draws.
    """
    found: dict[str, dict[str, float | None]] = {}
    for name in rows[0]:
        values = np.array([float(row[name]) for row in rows])
        figure = mean_of(values, groups, draws=draws, seed=seed).as_json()
        found[name] = {key: figure[key] for key in ("value", "low", "high")}  # type: ignore[misc]
    return found


def rank_correlation(first: Iterable[Heat], second: Iterable[Heat]) -> float:
    """The mean Spearman correlation of maps in pairs, over pixels where either shows evidence."""
    from scipy.stats import spearmanr

    found = []
    for one, other in zip(first, second, strict=True):
        shown = (one > 0) | (other > 0)
        if shown.sum() > 2 and np.ptp(one[shown]) > 0 and np.ptp(other[shown]) > 0:
            found.append(float(spearmanr(one[shown], other[shown]).statistic))
    return float(np.mean(found)) if found else float("nan")
