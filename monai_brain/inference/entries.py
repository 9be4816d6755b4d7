"""One input: a file, or a file in a zip, which is unpacked for as long as it is looked at."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monai_brain.data.slices import UnreadableImageError

_MOST_BYTES = 2 << 30  # of one file in a zip, unpacked
_PIECE = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One input: a file, or a file in a zip.

    Attributes:
        path: The file, or the zip that holds it.
        shown: Its path as seen from the input that was given.
        member: Its name in the zip.
    """

    path: str
    shown: str
    member: str = ""

    @property
    def found(self) -> str:
        """Where it lies, as the user said it."""
        return f"{self.path}/{self.member}" if self.member else self.path

    @property
    def place(self) -> str:
        """Where it lies, whole: what a join file says."""
        place = os.path.abspath(self.path)  # noqa: PTH100  links stay links
        return f"{place}/{self.member}" if self.member else place

    @contextlib.contextmanager
    def file(self) -> Iterator[Path]:
        """The file; one in a zip is unpacked under a name of our own until the block ends.

        Raises:
            UnreadableImageError: The zip does not give it.
        """
        if not self.member:
            yield Path(self.path)
            return
        name = Path(self.member).name
        ending = "".join(Path(name).suffixes[-2:]) if name.lower().endswith(".gz") else Path(name).suffix
        with tempfile.TemporaryDirectory(prefix="monai_brain_") as folder:
            target = Path(folder, f"member{ending}")
            _unpack(self, target)
            yield target


def _unpack(entry: Entry, target: Path) -> None:
    try:
        with (
            zipfile.ZipFile(entry.path) as archive,
            archive.open(entry.member) as packed,
            target.open("wb") as out,
        ):
            left = _MOST_BYTES
            while piece := packed.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    raise UnreadableImageError(
                        Path(entry.member).name, "too large", f"more than {_MOST_BYTES} bytes unpacked"
                    )
                out.write(piece)
    except UnreadableImageError:
        raise
    except Exception as error:  # damaged or encrypted zips raise many kinds
        raise UnreadableImageError(
            Path(entry.member).name, "damaged", f"the zip cannot be unpacked ({type(error).__name__})"
        ) from error
