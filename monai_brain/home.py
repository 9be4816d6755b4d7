"""Where this installation keeps what belongs to no project: caches, fetched weights, keys, trust."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder of caches and keys: MONAI_BRAIN_HOME, else one in the user's cache folder."""
    given = os.environ.get("MONAI_BRAIN_HOME")
    return Path(given) if given else Path.home() / ".cache" / "monai_brain"
