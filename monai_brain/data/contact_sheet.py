"""Many images on one page, so that a person can look at what a program made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from monai_brain.data.formats import read_slice
from monai_brain.files import whole

_CAPTION = 14
_GAP = 2


def sheet(
    rows: Mapping[str, Iterable[Mapping[str, Any]]],
    path: str | os.PathLike[str],
    columns: int = 10,
    tile: int = 128,
) -> None:
    """Write a PNG with a row of images under each title, more rows where they are many.

    Args:
        rows: Titles, each with items of "image" and, for the line below it, "caption".
        path: The PNG to write.
        columns: How many images stand in a row.
        tile: The pixels of each image's sides.
    """
    bands = []
    width = columns * (tile + _GAP) + _GAP
    for title, items in rows.items():
        tiles = [_tile(item, tile) for item in items]
        if not tiles:
            continue
        bands.append(_line(title, width))
        bands += [_band(tiles[i : i + columns], width) for i in range(0, len(tiles), columns)]
    page = np.vstack(bands) if bands else np.zeros((_CAPTION, width), np.uint8)
    content = cv2.imencode(".png", page)[1].tobytes()
    with whole(path, "wb") as stream:
        stream.write(content)


def _tile(item: Mapping[str, Any], size: int) -> np.ndarray:
    image, _ = read_slice(item["image"])
    scale = size / max(image.shape)
    shape = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image.astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    tile = np.full((size + _CAPTION, size), 40, np.uint8)
    tile[: shape[1], : shape[0]] = np.clip(np.rint(small), 0, 255).astype(np.uint8)
    cv2.putText(tile, str(item.get("caption", "")), (2, size + 10), cv2.FONT_HERSHEY_SIMPLEX, 0.32, 220)
    return tile


def _band(tiles: Sequence[np.ndarray], width: int) -> np.ndarray:
    height, size = tiles[0].shape
    band = np.full((height + _GAP, width), 90, np.uint8)
    for number, tile in enumerate(tiles):
        left = _GAP + number * (size + _GAP)
        band[:height, left : left + size] = tile
    return band


def _line(text: str, width: int) -> np.ndarray:
    line = np.full((_CAPTION + 4, width), 90, np.uint8)
    cv2.putText(line, text, (4, _CAPTION), cv2.FONT_HERSHEY_SIMPLEX, 0.42, 255)
    return line
