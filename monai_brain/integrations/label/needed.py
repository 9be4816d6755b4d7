"""MONAI Label, where it is installed."""

from __future__ import annotations

import importlib
from typing import Any

from monai_brain.errors import MissingExtraError


def needed(module: str) -> Any:
    """A module of MONAI Label or of what comes with it.

    Raises:
        MissingExtraError: MONAI Label is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError("monailabel", "label") from error


needed("monailabel.config")
