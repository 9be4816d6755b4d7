"""What is known of files that have not changed, so that a second index opens none of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from monai_brain.data.duplicates import SIDE, Pair
from monai_brain.data.verify import Seen
from monai_brain.errors import OutputError

# Raised when what is kept for a file changes: older caches are then built anew.
_VERSION = 2
_TABLE = """CREATE TABLE IF NOT EXISTS seen (
    path TEXT, reader TEXT, stamp TEXT, sha256 TEXT, facts TEXT, copy BLOB, PRIMARY KEY (path, reader))"""
_PAIRS = "CREATE TABLE IF NOT EXISTS pairs (images TEXT PRIMARY KEY, found TEXT)"


def stamp(path: str) -> str | None:
    """Size, time of change and inode of a file, or None if it cannot be asked."""
    try:
        status = os.stat(path)  # noqa: PTH116  thousands of them
    except (OSError, ValueError):
        return None
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


class IndexCache:
    """Good files by path, as long as their stamp and their reader stay the same; a context manager.

    Args:
        file: The SQLite file, made if it is not there; None keeps nothing.
        reader: The name and version of what read the files.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, file: Path | None, reader: str) -> None:
        self._reader = reader
        self._known: dict[str, tuple[str, str, str, bytes]] = {}
        self._base: sqlite3.Connection | None = None
        if file is None:
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open(file)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self.close()
                file.unlink()  # not ours, or damaged: nothing in it cannot be found again
                self._open(file)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise OutputError(f"Cannot write the index cache {file}: {error}. Use --no-cache.") from error

    def __enter__(self) -> IndexCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, path: str, stamp: str | None) -> Seen | None:
        """What is known of the file, or of a frame of it by its name, if it has not changed."""
        row = self._known.get(path)
        if row is None or stamp is None or row[0] != stamp:
            return None
        if not row[3]:  # a file of several frames, none of which was chosen
            return Seen(frames=json.loads(row[2])["frames"])
        copy = np.frombuffer(row[3], np.uint8).reshape(SIDE, SIDE)
        return Seen(sha256=row[1], facts=json.loads(row[2]), copy=copy)

    def put(self, path: str, stamp: str | None, seen: Seen) -> None:
        """Keep what was seen of a good file; a bad one is looked at again next time."""
        if self._base is None or stamp is None or seen.reason:
            return
        facts = json.dumps({"frames": seen.frames} if seen.copy is None else seen.facts)
        copy = b"" if seen.copy is None else seen.copy.tobytes()
        row = (path, self._reader, stamp, seen.sha256, facts, copy)
        self._base.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", row)

    def pairs(self, images: str) -> list[Pair] | None:
        """The near duplicates found before among the same images in the same order.

        Args:
            images: A digest of the images.
        """
        if self._base is None:
            return None
        row = self._base.execute("SELECT found FROM pairs WHERE images = ?", (images,)).fetchone()
        return None if row is None else [Pair(*pair) for pair in json.loads(row[0])]

    def put_pairs(self, images: str, found: Iterable[Pair]) -> None:
        """Keep the near duplicates of these images in place of any others."""
        if self._base is not None:
            text = json.dumps([dataclasses.astuple(pair) for pair in found])
            self._base.execute("DELETE FROM pairs")
            self._base.execute("INSERT INTO pairs VALUES (?, ?)", (images, text))

    def keep(self, paths: Iterable[str]) -> None:
        """Forget all files but these, and write everything to disk."""
        if self._base is not None:
            gone = self._known.keys() - set(paths)
            self._base.executemany("DELETE FROM seen WHERE path = ?", [(path,) for path in gone])
            self._base.commit()

    def close(self) -> None:
        """Write what was put, also when the work was interrupted, and close the file."""
        if self._base is not None:
            with contextlib.suppress(sqlite3.Error):
                self._base.commit()
            self._base.close()
            self._base = None

    def _open(self, file: Path) -> None:
        self._base = sqlite3.connect(os.fspath(file))
        (version,) = self._base.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            for table in ("seen", "pairs"):
                self._base.execute(f"DROP TABLE IF EXISTS {table}")
            self._base.execute(f"PRAGMA user_version = {_VERSION}")
        self._base.execute(_TABLE)
        self._base.execute(_PAIRS)
        wanted = "SELECT path, stamp, sha256, facts, copy FROM seen WHERE reader = ?"
        self._known = {row[0]: row[1:] for row in self._base.execute(wanted, (self._reader,))}
