"""The forms in which answers are written beside one another in an output folder, as they come."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from monai_brain.bundles import Bundle
from monai_brain.evaluation import prediction_columns as cells
from monai_brain.evaluation import predictions as prediction_file
from monai_brain.evaluation import table
from monai_brain.inference.answers import Answers
from monai_brain.inference.appended import Appended
from monai_brain.inference.gates import DONE, FAILED
from monai_brain.inference.predictor import Failure
from monai_brain.inference.stream import META

PREDICTIONS, RESULTS = "predictions.csv", "results.jsonl"
WholeWriter = Callable[[Answers, Bundle, Path], Path | None]


class BatchWriter(Protocol):
    """A writer that is handed answers as they come; a class with this shape is made for each run.

    After a killed run the same answers may come again: what was written behind the last `position`
    must be forgotten.
    """

    def __init__(self, bundle: Bundle, folder: Path, position: int | None) -> None:
        """Open the output; `position` is what it last gave, None where the run begins anew."""

    def write(self, answers: Answers) -> None:
        """Write some answers; `answers.inputs` holds each input with its rows, header and file."""

    def position(self) -> int:
        """Bring all to disk, and say how long the output is."""
        ...

    def close(self) -> Path | None:
        """End; gives the path that was written."""
        ...


class JsonLines:
    """results.jsonl: one JSON object a line, a result or a failure for every input."""

    def __init__(self, bundle: Bundle, folder: Path, position: int | None) -> None:
        self._bundle, self._file = bundle, Appended(folder / RESULTS, position)

    def write(self, answers: Answers) -> None:
        """Append a line for each input."""
        for line in results(answers, self._bundle):
            self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

    def position(self) -> int:
        """The file's length."""
        return self._file.position()

    def close(self) -> Path:
        """Close the file."""
        self._file.close()
        return self._file.path


class Csv:
    """predictions.csv: the file that evaluate, compare and report read; a row for every image."""

    def __init__(self, bundle: Bundle, folder: Path, position: int | None) -> None:
        self._file = Appended(folder / PREDICTIONS, position)
        labels = bundle.labels
        scores = [prefix + name for prefix in (cells.LOGIT, cells.PROB) for name in labels]
        meta = [cells.META + name for name in sorted(META)]
        self._header = [*cells.BEFORE_SCORES, *scores, *cells.AFTER_SCORES, *meta]
        self._rows = 0 if not position else 1

    def write(self, answers: Answers) -> None:
        """Append a row for each image."""
        if answers.predictions is None:
            return
        columns = answers.predictions.file_columns()
        if not self._rows:
            table.write_rows(self._file.stream, [self._header])
        table.write_rows(self._file.stream, zip(*(columns[name] for name in self._header), strict=True))
        self._rows += len(answers.predictions)

    def position(self) -> int:
        """The file's length."""
        return self._file.position()

    def close(self) -> Path | None:
        """Close the file; without one row there is none."""
        self._file.close()
        if not self._rows:
            self._file.path.unlink(missing_ok=True)
            return None
        return self._file.path


def is_batch_writer(target: Any) -> bool:
    """Whether a registered writer is handed answers as they come: it is a class, not a function."""
    return inspect.isclass(target)


def results(answers: Answers, bundle: Bundle) -> list[dict[str, Any]]:
    """What results.jsonl holds, as dictionaries."""
    return [answer.line(bundle, answers.weights_sha256) for answer in answers.inputs]


def written(folder: Path) -> Answers:
    """The answers in an output folder, for writers that want all of them at once."""
    path = folder / PREDICTIONS
    found = Answers(prediction_file.read(path) if path.is_file() else None)
    for line in lines(folder):
        if line["status"] == FAILED:
            found.failures.append(Failure(line["case"], line["reason"]))
        elif line["status"] != DONE and "predicted" not in line:
            found.withheld.append(line)
    return found


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of results.jsonl, one after another."""
    path = folder / RESULTS
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="surrogateescape") as stream:
        for text in stream:
            yield json.loads(text)


def parquet(folder: Path) -> Path | None:
    """predictions.parquet beside predictions.csv, made piece by piece.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    from monai_brain.inference.columns import to_parquet

    source = folder / PREDICTIONS
    return to_parquet(source, folder / "predictions.parquet") if source.is_file() else None
