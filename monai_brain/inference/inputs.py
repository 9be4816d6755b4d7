"""The images that a user named: files, folders, globs, lists and zips, each once, in a fixed order."""

from __future__ import annotations

import glob
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_brain.data.folders import named_as_image
from monai_brain.data.headers import read_header
from monai_brain.data.volumes import VOLUMES, volume_header
from monai_brain.errors import ConfigurationError, DataError
from monai_brain.inference.names import Entry, Names

Given = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

LIST_MARK = "@"
_DIRECTORY = "DICOMDIR"
_MAC_FORKS = "__MACOSX/"


class Inputs:
    """Everything under the inputs, found while it is iterated over: nothing is kept of what was given out.

    An input is a file, a folder, a glob, a zip, or `@FILE`, a list with one of these in each line.

    Attributes:
        left_out: How many files of the folders and zips are not named as images, and were passed over.
    """

    def __init__(self, given: Given) -> None:
        """Take the inputs.

        Raises:
            ConfigurationError: Some do not exist; all of them are named.
        """
        self.given = [os.fspath(one) for one in ([given] if isinstance(given, str | os.PathLike) else given)]
        self.left_out = 0
        missing = [text for text, _ in self._named() if not _exists(text)]
        if missing:
            raise ConfigurationError(f"{len(missing)} inputs do not exist: {', '.join(missing)}.")

    def __iter__(self) -> Iterator[Entry]:
        self.left_out = 0
        for text, listed in self._named():
            yield from self._under(text, text if listed else None)

    def count(self) -> int:
        """How many entries there are, by looking at names alone."""
        return sum(1 for _ in self)

    def _named(self) -> Iterator[tuple[str, bool]]:
        for text in self.given:
            if text.startswith(LIST_MARK) and not os.path.lexists(text):
                yield from ((line, True) for line in _lines(text.removeprefix(LIST_MARK)))
            else:
                yield text, False

    def _under(self, text: str, shown: str | None = None) -> Iterator[Entry]:
        path = Path(text)
        if path.is_dir():
            yield from self._folder(path)
        elif path.suffix.lower() == ".zip" and path.is_file() and zipfile.is_zipfile(path):
            yield from self._zip(path)
        elif os.path.lexists(path):
            yield Entry(text, shown or path.name)
        else:
            for match in _matches(text):
                yield from self._under(match)

    def _folder(self, root: Path) -> Iterator[Entry]:
        locked: list[str] = []
        for folder, folders, files in os.walk(root, onerror=lambda error: locked.append(str(error.filename))):
            folders.sort()
            self.left_out += sum(Path(folder, name).is_symlink() for name in folders)
            for name in sorted(files):
                if named_as_image(Path(name)) and name != _DIRECTORY:
                    file = Path(folder, name)
                    yield Entry(str(file), file.relative_to(root).as_posix())
                else:
                    self.left_out += 1
            while locked:  # it cannot be looked into, so it is an input that fails
                place = Path(locked.pop())
                yield Entry(str(place), place.relative_to(root).as_posix())

    def _zip(self, path: Path) -> Iterator[Entry]:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                name = member.filename
                if named_as_image(Path(name)) and not name.startswith(_MAC_FORKS):
                    yield Entry(str(path), f"{path.name}/{name}", name)
                else:
                    self.left_out += 1


def find(
    inputs: Given, names: str = "auto", frames: bool = False, plane: str | None = None
) -> list[dict[str, Any]]:
    """The images under the inputs: each with its path and its case; one in a zip with its "member" there.

    Args:
        inputs: files, folders, globs, lists or zips.
        names: auto, hashed or plain.
        frames: Give each frame of a file that holds several as an item of its own, with its number, from
            0, as "frame". Without it zips are refused: whoever asks wants files.
        plane: Cut volumes along this plane into frames; the item says so under "plane".

    Raises:
        ConfigurationError: An input does not exist, or is a zip where files are wanted.
    """
    naming, taken = Names(names), dict[str, str]()
    found: dict[str, Entry] = {}
    for entry in Inputs(inputs):
        if entry.member and not frames:
            raise ConfigurationError(f"{entry.path} is a zip, and files are wanted. Unpack it first.")
        found.setdefault(naming.case(entry, taken), entry)
    if not frames:
        return [{"image": entry.path, "case": case} for case, entry in found.items()]
    return [item for case, entry in found.items() for item in _frames(entry, case, plane)]


def entry_of(item: Mapping[str, Any]) -> Entry:
    """The input that an item of `find` stands for."""
    return Entry(str(item["image"]), str(item["case"]), str(item.get("member", "")))


def _frames(entry: Entry, case: str, plane: str | None) -> list[dict[str, Any]]:
    item: dict[str, Any] = {"image": entry.path, "case": case}
    if entry.member:
        item["member"] = entry.member
    cut = False
    try:
        with entry.file() as path:
            header = read_header(path)
            cut = plane is not None and header.format in VOLUMES
            count = volume_header(path, header.format, plane)[0] if cut else header.frames
    except DataError:
        count = 1  # whoever reads it says why it cannot be read
    if cut:
        item["plane"] = plane
    elif count == 1:
        return [item]
    return [item | {"case": f"{case} frame {frame}", "frame": frame} for frame in range(count)]


def named(item: Mapping[str, Any]) -> dict[str, Any]:
    """What preprocessing needs of an item: the image's path, and the frame if one is chosen."""
    return {key: item[key] for key in ("image", "frame") if key in item}


def _lines(path: str) -> Iterator[str]:
    try:
        with Path(path).open(encoding="utf-8-sig") as stream:
            for line in stream:
                if text := line.rstrip("\r\n"):
                    yield text
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ConfigurationError(
            f"The list {path} cannot be read: {reason}. Expected one path in each line."
        ) from None


def _exists(text: str) -> bool:
    return os.path.lexists(text) or bool(_matches(text))


def _matches(pattern: str) -> list[str]:
    """What a glob finds; Path.glob cannot take an absolute pattern."""
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
