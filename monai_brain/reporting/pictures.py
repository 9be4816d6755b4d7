"""Images of cases, small enough to stand inside the page."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from monai_brain.data.formats import chosen
from monai_brain.data.reader import read_slice
from monai_brain.data.schema import numbered
from monai_brain.errors import MonaiBrainError
from monai_brain.evaluation.predictions import Predictions
from monai_brain.transforms.grey import ToGrey255

QUALITY = 80
SIDES = (256, 192, 160, 128, 96)
BUDGET = 8_000_000  # bytes of all pictures together, before they are written as text
_SAMPLE = 12


def pictures(predictions: Predictions, folder: Path, rows: Sequence[int], most: int) -> dict[str, str]:
    """Data URIs of the images that can be read, by `names` of their rows, as large as `BUDGET` allows.

    Args:
        predictions: rows whose column "image" names a file.
        folder: what a relative name is relative to.
        rows: the rows in the order in which they are wanted.
        most: how many pictures there may be.
    """
    called = names(predictions)
    frames = predictions.meta.get("frame", [None] * len(predictions))
    found = {called[row]: (folder / str(predictions.image[row]), frames[row]) for row in rows if called[row]}
    present = {name: one for name, one in found.items() if one[0].is_file()}
    present = dict(list(present.items())[:most])
    if not present:
        return {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        side = _side(list(present.values()), pool)
        drawn = pool.map(lambda one: picture(one[0], one[1], side), present.values())
        return {name: _uri(one) for name, one in zip(present, drawn, strict=True) if one is not None}


def names(predictions: Predictions) -> list[str]:
    """What each row's picture is called: its image, and the frame if one is chosen; "" without an image."""
    frames = predictions.meta.get("frame", [None] * len(predictions))
    images = predictions.image.tolist()
    return [numbered(name, frame) if name else "" for name, frame in zip(images, frames, strict=True)]


def picture(file: Path, frame: object, side: int) -> bytes | None:
    """A file's image, or one frame of it, as a square WebP; None where it cannot be read or bears text."""
    try:
        values, meta = read_slice(file, chosen({"frame": frame}))
        grey = np.asarray(ToGrey255()(torch.from_numpy(values)[None]))[0]
    except (MonaiBrainError, TypeError):
        return None
    if meta.get("burned_in"):
        return None  # the text may be a name
    small = boxed(grey, side).round().astype(np.uint8)
    done, encoded = cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    return encoded.tobytes() if done else None


def boxed(values: npt.NDArray[np.floating], side: int) -> npt.NDArray[np.float32]:
    """The values in the middle of a square of the side, as large as they fit, 0 around them."""
    height, width = values.shape
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.zeros((side, side), np.float32)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    fitted = cv2.resize(values.astype(np.float32), size, interpolation=way)
    square[top : top + size[1], left : left + size[0]] = fitted
    return square


def _side(files: Sequence[tuple[Path, object]], pool: ThreadPoolExecutor) -> int:
    """The largest side at which all files fit into the budget, judged by some of them."""
    some = files[:: max(1, len(files) // _SAMPLE)]
    for side in SIDES[:-1]:
        sizes = [
            len(one) for one in pool.map(lambda one, side=side: picture(one[0], one[1], side), some) if one
        ]
        if not sizes or sum(sizes) / len(sizes) * len(files) <= BUDGET:
            return side
    return SIDES[-1]


def _uri(encoded: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode()}"
