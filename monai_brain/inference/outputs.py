"""All that is written while answers come, brought to disk together with the journal."""

from __future__ import annotations

import contextlib
import csv
import time
from collections.abc import Sequence
from pathlib import Path

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.inference import exam, study, writers
from monai_brain.inference.answers import Answer, gathered
from monai_brain.inference.appended import Appended
from monai_brain.inference.journal import Journal
from monai_brain.inference.names import Names

_EVERY = 1.0  # seconds between commits: what a killed run repeats
_JOIN = "join"


class Outputs:
    """The writers, the join file and the journal's notes of one run.

    Attributes:
        positions: How long each output was at the last commit.
        whole_writers: Registered writers that want all answers at the end.
        join: The file that says which input a hash stands for; None while nothing was hashed.
    """

    def __init__(self, journal: Journal, bundle: Bundle, folder: Path, join: Path) -> None:
        """Open every registered writer where the journal says that it was whole."""
        self.positions: dict[str, int] = journal.get("positions") or {}
        self._journal, self._bundle, self._join_path = journal, bundle, join
        self.whole_writers: list[writers.WholeWriter] = []
        self._open: dict[str, writers.BatchWriter] = {}
        for name, offer in registry.registry().writers.items():
            target = offer.load()
            if writers.is_batch_writer(target):
                self._open[name] = target(bundle, folder, self.positions.get(name))
            else:
                self.whole_writers.append(target)
        self.join: Appended | None = None
        if _JOIN in self.positions:
            self.join = Appended(join, self.positions[_JOIN], mode=0o600)
        self._last = time.monotonic()

    def write(self, ready: Sequence[Answer], naming: Names, weights_sha256: str, exams: bool) -> None:
        """Hand answers to every writer, and note them; about once a second all goes to disk."""
        answers = gathered(ready, self._bundle, weights_sha256)
        for writer in self._open.values():
            writer.write(answers)
        for one in ready:
            self._note(one, naming, exams)
        if time.monotonic() - self._last >= _EVERY:
            self.commit()

    def _note(self, one: Answer, naming: Names, exams: bool) -> None:
        self._journal.answered(one.entry, one.status)
        described = one.header
        if naming.hidden(one.entry, described.format if described is not None else None):
            if self.join is None:
                self.join = Appended(self._join_path, None, mode=0o600)
                csv.writer(self.join.stream, lineterminator="\n").writerow(["case", "file"])
            csv.writer(self.join.stream, lineterminator="\n").writerow([one.case, one.entry.place])
        if one.rows is not None:
            series = str(one.rows.meta["series"][0])
            name = series or (one.case if one.value is not None else "")
            rows = one.rows
            if name:
                self._journal.add_sums(name, len(rows), lambda known: study.merged(known, rows))
        if exams:
            study_uid = described.identifiers.get("study", "") if described is not None else ""
            group = naming.hashed("study", study_uid) if study_uid else one.case
            self._journal.add_view(group, exam.view(one))

    def commit(self) -> None:
        """Bring all to disk; from now on these answers are given."""
        self.positions = {name: writer.position() for name, writer in self._open.items()}
        if self.join is not None:
            self.positions[_JOIN] = self.join.position()
        self._journal.commit(self.positions)
        self._last = time.monotonic()

    def close(self) -> None:
        """Close every output."""
        with contextlib.ExitStack() as stack:  # each of them, whatever another raises
            for writer in self._open.values():
                stack.callback(writer.close)
            if self.join is not None:
                stack.callback(self.join.close)
