"""The images that a user named: files, folders and globs, each once, in a fixed order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_brain.data.folders import named_as_image
from monai_brain.errors import ConfigurationError


def find(inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[dict[str, str]]:
    """The images under the inputs: each with its path and its case, the path as seen from the input.

    Raises:
        ConfigurationError: An input does not exist, or two of them give one case two meanings.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    missing = [str(entry) for entry in given if not _exists(entry)]
    if missing:
        raise ConfigurationError(f"{len(missing)} inputs do not exist: {', '.join(missing[:5])}.")
    found: dict[str, str] = {}
    for entry in given:
        for path, case in _under(entry):
            if found.setdefault(case, path) != path:
                case = path  # two folders that hold files of one name
                found[case] = path
    return [{"image": path, "case": case} for case, path in found.items()]


def named(item: Mapping[str, Any]) -> dict[str, Any]:
    """What preprocessing needs of an item: the image's path, and the frame if one is chosen."""
    return {key: item[key] for key in ("image", "frame") if key in item}


def _exists(entry: str | os.PathLike[str]) -> bool:
    return os.path.lexists(entry) or bool(_matches(entry))


def _under(entry: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    path = Path(entry)
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            folders.sort()
            for name in sorted(files):
                if named_as_image(Path(name)):
                    file = Path(folder) / name
                    yield str(file), file.relative_to(path).as_posix()
    elif os.path.lexists(path):
        yield str(path), path.name
    else:
        for match in _matches(entry):
            yield from _under(match)


def _matches(pattern: str | os.PathLike[str]) -> list[str]:
    """What a glob finds; Path.glob cannot take an absolute pattern."""
    return sorted(glob.glob(os.fspath(pattern), recursive=True))  # noqa: PTH207
