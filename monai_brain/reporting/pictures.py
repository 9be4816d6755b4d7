"""Images of cases, small enough to stand inside the page."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch

from monai_brain.data.loading import chosen
from monai_brain.data.reader import read_slice
from monai_brain.errors import MonaiBrainError
from monai_brain.evaluation.predictions import Predictions
from monai_brain.transforms.grey import ToGrey255

SIDE, QUALITY = 96, 80


def pictures(predictions: Predictions, folder: Path, most: int) -> dict[int, str]:
    """Data URIs of the images that can be read, by row; where there are more than `most`, mistakes first.

    Args:
        predictions: rows whose column "image" names a file.
        folder: what a relative name is relative to.
        most: how many pictures there may be.
    """
    wrong = (predictions.label != predictions.predicted) & (predictions.label >= 0)
    rows = [int(row) for row in np.argsort(~wrong, kind="stable") if predictions.image[row]]
    files = {row: folder / str(predictions.image[row]) for row in rows}
    frames = predictions.meta.get("frame", [None] * len(predictions))
    present = [row for row in rows if files[row].is_file()][:most]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        drawn = pool.map(picture, [files[row] for row in present], [frames[row] for row in present])
        return {row: one for row, one in zip(present, drawn, strict=True) if one}


def picture(file: Path, frame: object = None) -> str | None:
    """A file's image, or one frame of it, as the data URI of a small JPEG; None where it cannot be read."""
    try:
        pixels = read_slice(file, chosen({"frame": frame}))[0]
        grey = np.asarray(ToGrey255()(torch.from_numpy(pixels)[None]))[0]
    except (MonaiBrainError, TypeError):
        return None
    height, width = grey.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    small[top : top + size[1], left : left + size[0]] = cv2.resize(grey, size, interpolation=way).round()
    done, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}" if done else None
