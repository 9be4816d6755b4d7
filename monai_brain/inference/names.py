"""What an input is called in results: its path as seen from the input, or a keyed hash that names nobody."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from monai_brain.data.formats import recognised
from monai_brain.data.pseudonyms import own_key, pseudonym
from monai_brain.errors import DataError, UnknownNameError
from monai_brain.inference.entries import Entry as Entry

MODES = ("auto", "hashed", "plain")
_DICOM_ENDINGS = ("", ".dcm", ".dicom", ".ima")


class Names:
    """Cases for inputs.

    Under "auto" DICOM files get a hash under this installation's key: of the image's own UID, so that
    a copy elsewhere bears the same name, or of the path where there is no UID. All other files keep
    their path. A file that cannot be recognised counts as DICOM if it is named as DICOM files are.
    """

    def __init__(self, mode: str = "auto") -> None:
        """Choose one of `MODES`.

        Raises:
            UnknownNameError: There is no such mode.
        """
        if mode not in MODES:
            raise UnknownNameError("way to name inputs", mode, MODES)
        self.mode = mode
        self._key: bytes | None = None

    @property
    def key(self) -> bytes:
        """The key under which is hashed."""
        if self._key is None:
            self._key = own_key()
        return self._key

    def hidden(self, entry: Entry, form: str | None) -> bool:
        """Whether the entry's path may not stand in results.

        Args:
            entry: The input.
            form: The name of its format; None where it could not be recognised.
        """
        if self.mode != "auto":
            return self.mode == "hashed"
        if form is not None:
            return form == "dicom"
        ending = Path(entry.member or entry.path).suffix.lower()
        return ending in _DICOM_ENDINGS or ending[1:].isdecimal()

    def candidates(self, entry: Entry, form: str | None, instance: str = "") -> Iterator[str]:
        """Names for the entry, the best first: a caller takes the first that no other input has."""
        if not self.hidden(entry, form):
            yield entry.shown
            yield entry.found
            yield from (f"{entry.place} ({number})" for number in itertools.count(2))
        first = self.hashed("instance", instance) if instance else self.hashed("path", entry.place)
        yield first
        yield from (f"{first}.{number}" for number in itertools.count(2))

    def hashed(self, what: str, value: str) -> str:
        """The keyed hash of a value."""
        return pseudonym(what, value, self.key)

    def case(self, entry: Entry, taken: dict[str, str]) -> str:
        """The name of a file that stands outside a stream; `taken` holds the names given so far."""
        form, instance = _kind(entry)
        for name in self.candidates(entry, form, instance):
            if taken.setdefault(name, entry.place) == entry.place:
                return name
        raise AssertionError("candidates never end")


def _kind(entry: Entry) -> tuple[str | None, str]:
    try:
        with entry.file() as path:
            form = recognised(path).name
            if form != "dicom":
                return form, ""
            from monai_brain.data.headers import read_header

            return form, read_header(path).identifiers.get("instance", "")
    except DataError:
        return None, ""
