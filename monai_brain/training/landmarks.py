"""Landmarks of grey values learned from the training side of a fold, and from nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_brain.data import datalist as datalists
from monai_brain.data.formats import read_item
from monai_brain.data.schema import Item
from monai_brain.files import sha256, write_json
from monai_brain.transforms.grey import ToGrey255
from monai_brain.transforms.landmarks import PERCENTILES, learned


def learn_landmarks(
    datalist: str | os.PathLike[str],
    path: str | os.PathLike[str],
    fold: int = 0,
    percentiles: Sequence[float] = PERCENTILES,
    above: float | str = "otsu",
    progress: bool = False,
) -> dict[str, Any]:
    """The landmarks of the images that train in a fold, also written to a JSON file.

    Validation and test images are not opened: what is learned from them would leak. The file names the
    datalist, by its hash, and the fold; use it for this fold only.

    Args:
        datalist: A datalist file with folds.
        path: The file to write.
        fold: The fold that is held out.
        percentiles: See `monai_brain.transforms.landmarks.learned`.
        above: See there.
        progress: Show a bar on a terminal when it takes more than two seconds.

    Raises:
        DataError: An image cannot be read, or none has contrast.
    """
    items = datalists.part(datalist, fold, "train")
    bar = tqdm(items, "landmarks", disable=None if progress else True, delay=2, unit="image")
    found = learned(_grey(bar), percentiles, above)
    found |= {"datalist": Path(datalist).name, "datalist_sha256": sha256(Path(datalist)), "fold": fold}
    write_json(Path(path), found)
    return found


def _grey(items: Sequence[Item]) -> Iterator[np.ndarray]:
    scale = ToGrey255()
    for item in items:
        yield np.asarray(scale(read_item(item)[None]))
