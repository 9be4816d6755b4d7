"""Zip archives of bundles, looked through before anything is unpacked."""

from __future__ import annotations

import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from monai_brain.errors import ConfigurationError, IntegrityError, OutputError

MOST_FILES = 20_000
LARGEST = 16 * 2**30
# Text shrinks to a tenth at best, weights hardly at all; a bomb to a thousandth.
RATIO, FREE = 100, 50 * 2**20
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def faults(path: Path) -> list[str]:
    """Why an archive must not be unpacked, in words; empty where nothing speaks against it."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeDecodeError) as error:
        return [f"it cannot be read as a zip: {error}"]
    found = [f"{_shown(member.filename)}: {fault}" for member in members for fault in _faults(member)]
    names = [_plain(member.filename) for member in members]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        found.append(f"{_shown(twice)} stands in it twice")
    size, packed = sum(member.file_size for member in members), max(path.stat().st_size, 1)
    if len(members) > MOST_FILES:
        found.append(f"{len(members)} files, at most {MOST_FILES} are taken")
    if size > LARGEST:
        found.append(f"{size} bytes unpacked, at most {LARGEST} are taken")
    elif size > FREE and size > RATIO * packed:
        found.append(f"a bomb: {packed} bytes would become {size}")
    return found


@contextmanager
def unpacked(path: Path, beside: Path | None = None) -> Iterator[Path]:
    """The bundle's folder in an archive, unpacked into a folder that goes when the block ends.

    Args:
        path: the archive.
        beside: the folder in which it is unpacked; by default the system's for temporary files.

    Raises:
        IntegrityError: It climbs out of its folder, is a bomb, or is damaged.
        ConfigurationError: It holds no bundle.
    """
    wrong = faults(path)
    if wrong:
        raise IntegrityError(f"{path} is refused, and nothing of it was unpacked: {'; '.join(wrong[:3])}.")
    with tempfile.TemporaryDirectory(dir=beside, prefix=".unpacked-") as folder:
        root = Path(folder).resolve()
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    _unpack(archive, member, root)
        except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
            raise IntegrityError(f"{path} is damaged: {error}. Fetch it again.") from None
        except OSError as error:
            raise OutputError(f"Cannot unpack {path} into {root}: {error.strerror or error}.") from error
        yield _bundle_in(root, path)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, root: Path) -> None:
    target = root / _plain(member.filename)
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("xb") as stream:
        left = member.file_size
        while chunk := source.read(min(2**20, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{_shown(member.filename)} is longer than it says")
            stream.write(chunk)


def _faults(member: zipfile.ZipInfo) -> Iterator[str]:
    name = member.filename
    if "\x00" in name or "\\" in name or not _plain(name):
        yield "no plain name"
    if name.startswith("/") or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
        yield "climbs out of the folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "a link or device"
    if member.flag_bits & 0x1:
        yield "encrypted"
    if member.compress_type not in (_STORED, _DEFLATED):
        yield "compressed in an unusual way"


def _plain(name: str) -> str:
    return os.path.normpath(name.rstrip("/")) if name.strip("/") else ""


def _shown(name: str) -> str:
    return repr(name[:80])


def _bundle_in(root: Path, path: Path) -> Path:
    """The folder with configs/metadata.json: the archive's own, or one a level below."""
    for folder in (root, *sorted(entry for entry in root.iterdir() if entry.is_dir())):
        if (folder / "configs" / "metadata.json").is_file():
            return folder
    raise ConfigurationError(
        f"{path} holds no bundle: no configs/metadata.json at its top or one level below."
    )
