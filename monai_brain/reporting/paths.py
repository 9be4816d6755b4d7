"""Paths without the places that they name."""

from __future__ import annotations

import re
from typing import Any

# A path tells who ran it and where; its last part is enough to know the file again.
_PATH = re.compile(r"(?:[A-Za-z]:[\\/]|~?/|\\\\|file:/+)(?:[^\s'\",;\]\)=\\/]*[\\/])*([^\s'\",;\]\)=\\/]*)")
_WEB = re.compile(r"\bhttps?://\S+")


def unplaced(value: Any) -> Any:
    """The value with each absolute path in its texts cut to its last part."""
    if isinstance(value, str):
        kept = _WEB.findall(value)
        short = _PATH.sub(lambda found: found[1], _WEB.sub("\0", value))
        for address in kept:
            short = short.replace("\0", address, 1)
        return short
    if isinstance(value, dict):
        return {key: unplaced(one) for key, one in value.items()}
    return [unplaced(one) for one in value] if isinstance(value, list) else value
