"""Who was asked what: a file that is only ever appended to, and begun anew when it has grown large."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_brain.errors import OutputError

GREATEST = 16 * 2**20  # bytes of one file


class Audit:
    """An audit trail: one JSON object a line; earlier files keep the time at which they were ended."""

    def __init__(self, path: Path, greatest: int = GREATEST) -> None:
        """Name the file; it is made with the first line."""
        self.path, self._greatest = path, greatest

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line, whole.

        Raises:
            OutputError: It cannot be written.
        """
        text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._rotate(len(text))
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            try:
                os.write(descriptor, text.encode("utf-8", "surrogateescape"))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OutputError(
                f"Cannot write {self.path}: {error.strerror or error}. Free the disk."
            ) from error

    def _rotate(self, coming: int) -> None:
        if not self.path.is_file() or self.path.stat().st_size + coming <= self._greatest:
            return
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self.path.rename(self.path.with_name(f"{self.path.stem}-{now}{self.path.suffix}"))
