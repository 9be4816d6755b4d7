"""Datasets as users have them, read into a datalist by the kind that a plugin registered."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_brain.data.index import Indexed, index
from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.registry import registry

PathLike = str | os.PathLike[str]


def read_dataset(kind: str, path: PathLike, **options: Any) -> dict[str, Any]:
    """The datalist of a dataset of a registered kind, for example "folders", every file verified.

    Args:
        kind: The name under which a plugin registered its reader.
        path: Where the dataset is.
        **options: What `index_dataset` takes.

    Raises:
        UnknownNameError: No plugin registers the kind.
        DataError: The path does not hold such a dataset.
    """
    return index_dataset(kind, path, **options).datalist


def index_dataset(
    kind: str,
    path: PathLike,
    cache: PathLike | None = None,
    workers: int | None = None,
    classes: Mapping[str, str] | None = None,
    progress: bool = False,
    **options: Any,
) -> Indexed:
    """The datalist of a dataset, and how many of its files were opened for it.

    Args:
        kind: See `read_dataset`.
        path: See `read_dataset`.
        cache: See `monai_brain.data.index.index`, as the next three.
        workers: How many files are read at a time.
        classes: The dataset's class names on the left, the datalist's on the right.
        progress: Show a bar on a terminal.
        **options: For the kind's own reader, for example columns or labels.

    Raises:
        UnknownNameError: No plugin registers the kind.
        ConfigurationError: The kind does not take an option.
        DataError: The path does not hold such a dataset, or not one good image.
    """
    known = registry().datasets
    if kind not in known:
        raise UnknownNameError("kind of dataset", kind, known)
    reader = known[kind].load()
    takes = inspect.signature(reader).parameters
    unknown = [name for name in options if name not in takes]
    if unknown:
        names = ", ".join(list(takes)[1:]) or "none"
        raise ConfigurationError(f"Datasets of kind {kind!r} take no {unknown[0]}. Options: {names}.")
    place = Path(os.path.realpath(path))
    found = reader(path, **options)
    root = place if place.is_dir() else place.parent
    return index(found, root, Path(cache) if cache else None, workers, classes, progress)
