"""What the readers of all formats share: how they refuse, how large is too large, colour to grey."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from monai_brain.errors import DataError

# Above any detector and any scanner; below what fills the memory of a small machine.
MAX_PIXELS = 64 * 2**20

# The reason why a file of several frames is refused where none of them was chosen.
SEVERAL = "several frames"

Slice = tuple[np.ndarray, dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """What a caller may choose; each format heeds what concerns it.

    Attributes:
        frame: The frame of a multi-frame image, or the slice of a volume, counting from 1.
        force: Read DICOM without its preamble.
        voi: Apply DICOM's VOI LUT or window; None does so for radiographs only.
    """

    frame: int | None = None
    force: bool = False
    voi: bool | None = None


class UnreadableImageError(DataError):
    """A file that gives no image: `name: reason: detail`.

    The three parts stay apart, so that a caller who hides file names puts the case's name there.
    """

    def __init__(self, name: str, reason: str, detail: str) -> None:
        super().__init__(name, reason, detail)
        self.name, self.reason, self.detail = name, reason, " ".join(detail.split())

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}: {self.detail}"


def check_size(path: Path, height: int, width: int, limit: int = MAX_PIXELS) -> None:
    """Refuse a size before anything is decoded."""
    if height <= 0 or width <= 0:
        raise UnreadableImageError(path.name, "empty", f"it claims {height} rows and {width} columns")
    if height * width > limit:
        raise UnreadableImageError(
            path.name, "too large", f"it claims {height} x {width} pixels, at most {limit} are read"
        )


def check_contrast(path: Path, image: np.ndarray) -> None:
    """Refuse an image in which all finite pixels are equal: it shows nothing to judge."""
    finite = image[np.isfinite(image)] if image.dtype.kind == "f" else image
    if finite.size == 0:
        raise UnreadableImageError(path.name, "no contrast", "no pixel is a finite number")
    low = finite.min()
    if low == finite.max():
        raise UnreadableImageError(path.name, "no contrast", f"every pixel is {low}")


def luminance(colours: np.ndarray, order: str = "BGR") -> np.ndarray:
    """The grey image of a colour image: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded.

    Equal channels give exactly that channel. An alpha channel lays the colours over black first,
    because what is transparent shows nothing.

    Args:
        colours: (H, W, 3) or (H, W, 4), 8 or 16 bits unsigned.
        order: "BGR" or "RGB", the order of the first three channels.
    """
    code = cv2.COLOR_BGR2GRAY if order == "BGR" else cv2.COLOR_RGB2GRAY
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(colours[..., :3]), code))
    if colours.shape[-1] == 4:
        full = int(np.iinfo(colours.dtype).max)
        alpha = colours[..., 3]
        if int(alpha.min()) < full:
            product = grey.astype(np.uint64) * alpha
            grey = ((product + full // 2) // full).astype(colours.dtype)
    return grey
