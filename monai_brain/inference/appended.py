"""A file that grows, and that can be cut back to where a journal says that it was whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from monai_brain.errors import OutputError


class Appended:
    """A text file open for appending.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: Path, position: int | None = None, mode: int | None = None) -> None:
        """Open the file; what stands behind `position` goes, and all of it if there is none.

        Args:
            path: Where it is; its folder is made.
            position: Up to which byte it is kept.
            mode: The file's permissions, where not the usual ones.

        Raises:
            OutputError: It cannot be written, or is shorter than it was.
        """
        self.path = path
        descriptor = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            descriptor = os.open(path, flags, 0o666 if mode is None else mode)
            if mode is not None:
                path.chmod(mode)
            if os.fstat(descriptor).st_size < (position or 0):
                raise OutputError(f"{path} is shorter than it was. Begin anew with --restart.")
            os.truncate(path, position or 0)
        except (OSError, OutputError) as error:
            if descriptor >= 0:
                os.close(descriptor)
            if isinstance(error, OutputError):
                raise
            raise _failed(path, error) from error
        self._stream: IO[str] = os.fdopen(
            descriptor, "a", encoding="utf-8", errors="surrogateescape", newline=""
        )

    @property
    def stream(self) -> IO[str]:
        """The open file."""
        return self._stream

    def write(self, text: str) -> None:
        """Append text.

        Raises:
            OutputError: The disk is full.
        """
        try:
            self._stream.write(text)
        except OSError as error:
            raise _failed(self.path, error) from error

    def position(self) -> int:
        """How many bytes there are, now that all of them are on disk."""
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            return os.fstat(self._stream.fileno()).st_size
        except OSError as error:
            raise _failed(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        try:
            self._stream.close()
        except OSError as error:
            raise _failed(self.path, error) from error


def _failed(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Cannot write {path}: {error.strerror or error}. Free the disk or name another place."
    )
