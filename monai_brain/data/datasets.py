"""Datasets as users have them, read into a datalist by the kind that a plugin registered."""

from __future__ import annotations

import os
from typing import Any

from monai_brain.errors import UnknownNameError
from monai_brain.registry import registry


def read_dataset(kind: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """The datalist of a dataset of a registered kind, for example "folders".

    Raises:
        UnknownNameError: No plugin registers the kind.
        DataError: The path does not hold such a dataset.
    """
    known = registry().datasets
    if kind not in known:
        raise UnknownNameError("kind of dataset", kind, known)
    found: dict[str, Any] = known[kind].load()(path)
    return found
