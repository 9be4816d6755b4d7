"""Paths without the places that they name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

# A path tells who ran it and where; its last part is enough to know the file again.
_START = r"(?:[A-Za-z]:[\\/]|~?/|\\\\|file:/+)"
_WHOLE = re.compile(rf"(?P<key>[\w#.-]+=)?(?P<path>{_START}[^'\"\n,;]*)")
_WITHIN = re.compile(rf"(?<![\w.]){_START}(?:[^\s'\",;\]\)=\\/]*[\\/])*([^\s'\",;\]\)=\\/]*)")
_WEB = re.compile(r"\bhttps?://\S+")


def unplaced(value: Any) -> Any:
    """The value with each absolute path in its texts cut to its last part."""
    if isinstance(value, dict):
        return {key: unplaced(one) for key, one in value.items()}
    if isinstance(value, list):
        return [unplaced(one) for one in value]
    return _cut(value) if isinstance(value, str) else value


def _cut(text: str) -> str:
    whole = _WHOLE.fullmatch(text)
    if whole is not None and not any(mark in text for mark in (" /", " ~", "file:", " \\")):
        return f"{whole['key'] or ''}{_last(whole['path'])}"  # blanks in it are part of the path
    kept = _WEB.findall(text)
    short = _WITHIN.sub(lambda found: found[1], _WEB.sub("\0", text))
    for address in kept:
        short = short.replace("\0", address, 1)
    return short


def _last(path: str) -> str:
    return PurePosixPath(PureWindowsPath(path).as_posix()).name
