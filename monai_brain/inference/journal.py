"""What has been answered, on disk, so that a killed run goes on and answers every input exactly once.

The journal is the one truth. Outputs are appended to, and at each commit the journal keeps how long
they were; what a killed process wrote after its last commit is cut off when the next one opens them.
Memory does not grow with what the journal holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_brain.errors import ConfigurationError, OutputError
from monai_brain.inference.names import Entry

NAME = "journal.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inputs (key BLOB PRIMARY KEY, stamp TEXT, status TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cases (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sums (name TEXT, slices INTEGER, content TEXT, PRIMARY KEY (name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS views (exam TEXT, number INTEGER, content TEXT, PRIMARY KEY (exam, number))
    WITHOUT ROWID;
"""


class Journal:
    """The journal in a folder, or in memory where no folder is given."""

    def __init__(self, folder: Path | None, key: bytes) -> None:
        """Open or make the journal; `key` hashes the paths that it must remember.

        Raises:
            OutputError: It cannot be opened.
        """
        self._key = key
        place = ":memory:" if folder is None else str(folder / NAME)
        try:
            # Autocommit off by hand: a transaction is what one commit of ours covers.
            self._base = sqlite3.connect(place, isolation_level=None)
            self._base.executescript(_SCHEMA)
            self._base.execute("DELETE FROM inputs WHERE status IS NULL")
            self._base.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise OutputError(
                f"The journal {place} cannot be used: {error}. Is another predict writing there? "
                "Wait for it, or name another folder by -o."
            ) from error
        self.changed = 0

    def request(self, signature: Mapping[str, Any]) -> str:
        """new, same or other: how this request stands to the one that the journal was begun for."""
        text = json.dumps(signature, sort_keys=True, ensure_ascii=False)
        digest = hashlib.blake2b(
            text.encode("utf-8", "surrogateescape"), key=self._key, digest_size=16
        ).hexdigest()
        known = self.get("request")
        if known is None:
            self.put("request", digest)
            return "new"
        return "same" if known == digest else "other"

    def get(self, name: str) -> Any:
        """A value that was put, or None."""
        row = self._one("SELECT value FROM state WHERE name = ?", name)
        return None if row is None else json.loads(row[0])

    def put(self, name: str, value: Any) -> None:
        """Keep a value under a name."""
        self._do("INSERT OR REPLACE INTO state VALUES (?, ?)", name, json.dumps(value))

    def take(self, entry: Entry) -> bool:
        """Whether the entry is still to be answered; if so it is taken, and will not be given out again."""
        stamp = _stamp(entry)
        if self._do("INSERT OR IGNORE INTO inputs VALUES (?, ?, NULL)", self._id(entry), stamp).rowcount:
            return True
        row = self._one("SELECT stamp, status FROM inputs WHERE key = ?", self._id(entry))
        self.changed += row is not None and row[1] is not None and row[0] != stamp
        return False

    def name(self, candidates: Iterable[str]) -> str:
        """The first of the names that no other input bears; from now on it is taken."""
        for name in candidates:
            if self._do("INSERT OR IGNORE INTO cases VALUES (?)", name).rowcount:
                return name
        raise ConfigurationError("An input has no name left.")

    def answered(self, entry: Entry, status: str) -> None:
        """Note that an entry has its answer."""
        self._do("UPDATE inputs SET status = ? WHERE key = ?", status, self._id(entry))

    def counts(self) -> dict[str, int]:
        """How many inputs have each status."""
        rows = self._all("SELECT status, COUNT(*) FROM inputs WHERE status IS NOT NULL GROUP BY status")
        return {str(status): int(count) for status, count in rows}

    def add_sums(self, name: str, slices: int, merge: Any) -> None:
        """Change what is kept of a study: `merge` takes the content so far, or None, and gives the new."""
        row = self._one("SELECT slices, content FROM sums WHERE name = ?", name)
        known = (0, None) if row is None else (int(row[0]), json.loads(row[1]))
        content = json.dumps(merge(known[1]), ensure_ascii=False)
        self._do("INSERT OR REPLACE INTO sums VALUES (?, ?, ?)", name, known[0] + slices, content)

    def sums(self) -> Iterator[tuple[str, int, Any]]:
        """Every study with its slices and its content, by name."""
        for name, slices, content in self._all("SELECT name, slices, content FROM sums ORDER BY name"):
            yield str(name), int(slices), json.loads(content)

    def add_view(self, exam: str, content: Mapping[str, Any]) -> None:
        """Keep one image of an exam."""
        self._do(
            "INSERT INTO views SELECT ?, COALESCE(MAX(number), -1) + 1, ? FROM views WHERE exam = ?",
            exam, json.dumps(content, ensure_ascii=False), exam,
        )  # fmt: skip

    def exams(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Every exam with its images, by name."""
        views: list[dict[str, Any]] = []
        last: str | None = None
        for exam, content in self._all("SELECT exam, content FROM views ORDER BY exam, number"):
            if last is not None and exam != last:
                yield last, views
                views = []
            last = str(exam)
            views.append(json.loads(content))
        if last is not None:
            yield last, views

    def commit(self, positions: Mapping[str, int]) -> None:
        """Make everything since the last commit true, with how long the outputs are by now.

        Raises:
            OutputError: The disk is full.
        """
        self.put("positions", dict(positions))
        try:
            self._base.execute("COMMIT")
            self._base.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise OutputError(f"The journal cannot be written: {error}. Free the disk.") from error

    def close(self) -> None:
        """Let go of the file; what was not committed is forgotten."""
        with contextlib.suppress(sqlite3.Error):
            self._base.execute("ROLLBACK")
        self._base.close()

    def _id(self, entry: Entry) -> bytes:
        place = entry.place.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(place, key=self._key, person=b"journal", digest_size=16).digest()

    def _do(self, statement: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._base.execute(statement, values)
        except sqlite3.Error as error:
            raise OutputError(f"The journal cannot be written: {error}. Free the disk.") from error

    def _one(self, statement: str, *values: Any) -> Sequence[Any] | None:
        found: Sequence[Any] | None = self._do(statement, *values).fetchone()
        return found

    def _all(self, statement: str) -> Iterator[Sequence[Any]]:
        yield from self._do(statement)


def _stamp(entry: Entry) -> str:
    try:
        status = Path(entry.path).stat()
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"
