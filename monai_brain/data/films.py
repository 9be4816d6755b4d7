"""Whole mammograms to make something of, wherever they are listed, with the woman that each belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_brain.data import datalist, mammograms, manifest
from monai_brain.data.folders import files_below, named_as_image
from monai_brain.data.index import index
from monai_brain.data.schema import Datalist, Item
from monai_brain.data.tables import column, rows_of
from monai_brain.errors import ConfigurationError, DataError

FILM = "mammogram"
VIEWS = ("view_position", "technique")  # what a model trained on the films must know of them
_TABLES = (".csv", ".parquet")
_LABELS, _FILES = ("label", "class_name", "class"), ("file", "image", "path")


def read(path: str | os.PathLike[str], workers: int | None = None, progress: bool = False) -> Datalist:
    """The mammograms of a datalist, a table, mini-MIAS or a folder, every file verified.

    A folder is read by its datalist.json or manifest.csv, else by mini-MIAS's Info.txt, else every image
    below it is taken. What the source calls an image's class plays no part, but images that it calls
    incomplete stand under "left_out". Each item gains "film", its place below the source.

    Args:
        path: The source.
        workers: How many files are read at a time.
        progress: Show a bar on a terminal.

    Raises:
        ConfigurationError: The path does not exist.
        DataError: It holds no mammogram that can be read.
    """
    place = Path(os.path.realpath(path))
    if not place.exists():
        raise ConfigurationError(f"{path} does not exist. Expected a datalist, a table or a folder.")
    found = dict(_listed(place))
    left_out = dict(found.get("left_out", {}))
    kept: list[Item] = []
    root = place if place.is_dir() else place.parent
    for item in [*found["training"], *found.get("testing", [])]:
        film = _below(item["image"], root)
        if item.get("class_name") == "incomplete":
            left_out[film] = "it is labelled incomplete"
        else:
            known = {key: item.get(key) for key in ("image", "frame", "patient_id", "group", "source")}
            views = {key: item[key] for key in VIEWS if item.get(key)}
            kept.append({**known, **views, "class_name": FILM, "film": film})
    if not kept:
        raise DataError(f"{path}: holds no mammogram ({len(left_out)} left out).")
    films = index({**found, "training": kept, "testing": [], "left_out": left_out}, root, None, workers,
                  progress=progress).datalist  # fmt: skip
    return {**films, "left_out": left_out}


def _listed(place: Path) -> Mapping[str, Any]:
    if place.is_file():
        return _table(place) if place.suffix.lower() in _TABLES else datalist.read(place)
    if (place / "datalist.json").is_file():
        return datalist.read(place / "datalist.json")
    if (place / "manifest.csv").is_file():
        return _table(place / "manifest.csv")
    if any(file.name.lower() in ("info.txt", "info") for file in place.iterdir()):
        return mammograms.read_mias(place)
    files = [file for file in files_below(place) if named_as_image(file)]
    return {"name": place.name, "training": [{"image": str(f), "source": place.name} for f in files]}


def _table(table: Path) -> Datalist:
    names, _ = rows_of(table)
    # A table of films need not name a class: any full column serves, since none is used.
    label = next((name for name in _LABELS if name in names), None) or column(table, names, _FILES)
    return manifest.read(table, {"label": label})


def _below(image: str, root: Path) -> str:
    try:
        return os.path.relpath(image, root).replace(os.sep, "/")
    except ValueError:  # another drive: nothing relative leads there
        return Path(image).name
