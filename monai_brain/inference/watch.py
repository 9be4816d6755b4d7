"""A modality's export folder watched: each examination answered once it has come to rest.

Every folder or file directly in the watched folder is one examination and gets one folder of results.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai_brain
from monai_brain.data.formats import recognised
from monai_brain.errors import ConfigurationError, DataError, MonaiBrainError, OutputError
from monai_brain.files import write_json
from monai_brain.inference import archive
from monai_brain.inference.answers import Answer
from monai_brain.inference.audit import Audit
from monai_brain.inference.inputs import Inputs
from monai_brain.inference.names import Entry, Names
from monai_brain.inference.predictor import Predictor
from monai_brain.inference.series import Selection

STATUS = "status.json"
_PARTIAL = (".part", ".partial", ".tmp", ".crdownload")
_HEARTBEAT = 10.0  # seconds between status files while nothing happens

Look = tuple[int, int, int]  # files, bytes, newest change


@dataclass
class _Seen:
    look: Look
    since: float
    answered: Look | None = None


class Watch:
    """A watched folder.

    Example:
        Watch(Predictor("run"), Path("/in"), Path("/out"), quiet=30).forever()
    """

    def __init__(
        self,
        predictor: Predictor,
        folder: Path,
        out: Path,
        wishes: archive.Wishes | None = None,
        *,
        quiet: float = 30.0,
        choose: bool = True,
        say: Callable[[str], None] = lambda text: None,
        then: Callable[[Path, archive.Summary], Sequence[str]] = lambda path, summary: (),
    ) -> None:
        """Take the model and the folders.

        Args:
            predictor: The model.
            folder: Where examinations arrive; nothing is written there.
            out: Where results, status.json and audit.jsonl go.
            wishes: How each examination is answered.
            quiet: How many seconds an examination must not have changed for.
            choose: Choose among the series of an examination by the model's rule.
            say: Takes a line for each examination.
            then: Is called with each examination and its summary once that is answered, to make reports of
                it for example; gives a line for each thing that it could not do.

        Raises:
            ConfigurationError: The folder is none, or one of the two lies in the other.
        """
        if not folder.is_dir():
            raise ConfigurationError(f"{folder} is no folder to watch.")
        inside, outside = folder.resolve(), out.resolve()
        if inside.is_relative_to(outside) or outside.is_relative_to(inside):
            raise ConfigurationError(f"{out} and {folder} lie in one another. Results must go elsewhere.")
        self._predictor, self._folder, self._out = predictor, folder, out
        self._wishes, self._quiet, self._choose = wishes or archive.Wishes(), quiet, choose
        self._say, self._then = say, then
        self._names = Names(self._wishes.names)
        self._seen: dict[str, _Seen] = {}
        self._counts: dict[str, int] = {}
        self._exams, self._troubled, self._told = 0, 0, -_HEARTBEAT
        self._audit = Audit(out / "audit.jsonl")

    def forever(self, poll: float = 2.0) -> None:
        """Watch until the process is told to stop; the status file then says so."""
        try:
            while True:
                worked = self.once(time.monotonic())
                if worked or time.monotonic() - self._told >= _HEARTBEAT:
                    self._status("watching")
                time.sleep(poll)
        finally:
            self._status("stopped")

    def once(self, now: float) -> int:
        """Answer what has been at rest for long enough by `now`, in monotonic seconds; gives how many."""
        there = {path.name: path for path in self._arrived()}
        for name in self._seen.keys() - there.keys():
            del self._seen[name]
        done = 0
        for name, path in there.items():
            look = _look(path)
            seen = self._seen.get(name)
            if seen is None or seen.look != look:
                self._seen[name] = _Seen(look, now, seen.answered if seen else None)
            elif look[0] and seen.answered != look and now - seen.since >= self._quiet:
                self._answer(path)
                seen.answered = look
                done += 1
        return done

    def _arrived(self) -> Iterator[Path]:
        try:
            for path in sorted(self._folder.iterdir()):
                if not path.name.startswith(".") and not path.name.endswith(_PARTIAL):
                    yield path
        except OSError as error:
            raise ConfigurationError(f"{self._folder} cannot be read any more: {error.strerror}.") from None

    def _answer(self, path: Path) -> None:
        name = self._name(path)
        target = self._out / name
        try:
            selection = Selection(Inputs(path), self._predictor.bundle, self._names) if self._choose else None
            summary = archive.answer(
                self._predictor, path, target, self._wishes, told=self._note, check=selection
            )
            undone = self._then(path, summary)
        except OutputError:
            raise  # the disk is full: every further examination would fail too
        except MonaiBrainError as error:
            self._troubled += 1
            self._audit.write(self._line(name) | {"outcome": "failed", "reason": type(error).__name__})
            self._say(f"{name}: {error}")
            return
        self._exams += 1
        self._troubled += bool(undone)
        for line in undone:
            self._say(line)
        self._say(f"{name}: {', '.join(f'{count} {status}' for status, count in summary.counts.items())}")

    def _name(self, path: Path) -> str:
        """What the examination's folder of results is called; never a name from a file's header."""
        hidden = any(self._names.hidden(entry, _form(entry)) for entry in Inputs(path))
        return self._names.hashed("exam", str(path.resolve())) if hidden else path.name

    def _note(self, answer: Answer) -> None:
        self._counts[answer.status] = self._counts.get(answer.status, 0) + 1
        said = {"outcome": answer.status, "reason": answer.reason}
        if answer.value is not None:
            said["predicted"] = str(answer.value["predicted"] or "")
        elif answer.rows is not None:
            said["predicted"] = answer.rows[0].predicted
        self._audit.write(self._line(answer.case) | said)

    def _line(self, case: str) -> dict[str, Any]:
        wishes = self._wishes
        return {
            "time": _now(),
            "case": case,
            "model": self._predictor.bundle.name,
            "version": str(self._predictor.bundle.metadata.get("version", "")),
            "software": monai_brain.__version__,
            "weights_sha256": self._predictor.weights_sha256,
            "settings": {
                "names": wishes.names,
                "force": wishes.force,
                "plane": wishes.plane,
                "quiet": self._quiet,
            },
        }

    def _status(self, state: str) -> None:
        self._told = time.monotonic()
        waiting = sum(seen.answered != seen.look for seen in self._seen.values())
        content = {
            "schema_version": 1,
            "state": state,
            "time": _now(),
            "process": os.getpid(),
            "examinations": self._exams,
            "troubled": self._troubled,
            "waiting": waiting,
            "inputs": self._counts,
            "model": self._predictor.bundle.name,
            "weights_sha256": self._predictor.weights_sha256,
            "disclaimer": self._predictor.bundle.disclaimer,
        }
        write_json(self._out / STATUS, content)


def _look(path: Path) -> Look:
    """How many files there are, how large, and when one changed last: equal while nothing is written."""
    files, size, newest = 0, 0, 0
    places = (
        [(str(path.parent), [path.name])]
        if not path.is_dir()
        else ((at, names) for at, _, names in os.walk(path))
    )
    for folder, names in places:
        for name in names:
            if name.endswith(_PARTIAL):
                return (0, 0, 0)  # somebody is still writing
            try:
                status = Path(folder, name).lstat()
            except OSError:
                continue
            files, size, newest = files + 1, size + status.st_size, max(newest, status.st_mtime_ns)
    return (files, size, newest)


def _form(entry: Entry) -> str | None:
    try:
        with entry.file() as path:
            return recognised(path).name
    except DataError:
        return None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
