"""predictions.csv: every figure, interval, test and page is computed from this file alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from monai_brain.errors import ConfigurationError, DataError, did_you_mean
from monai_brain.evaluation import prediction_columns as cells
from monai_brain.evaluation import table
from monai_brain.evaluation.prediction import Prediction
from monai_brain.evaluation.prediction_columns import LOGIT, META, NUMBERS, PROB, TEXTS, RowError
from monai_brain.evaluation.prediction_rows import Predictions
from monai_brain.files import whole

__all__ = ["Prediction", "PredictionWriter", "Predictions", "put_together", "read", "write"]

_KNOWN = (*cells.BEFORE_SCORES, *cells.AFTER_SCORES)


def read(path: str | os.PathLike[str]) -> Predictions:
    """The predictions in a CSV or Parquet file; one from elsewhere needs only case, label and prob_<class>.

    Columns under unknown names are kept as meta columns.

    Raises:
        DataError: One line with file, row (the header is row 1), column and reason.
    """
    path = Path(path)
    columns = table.read(path)
    try:
        return _from_columns(columns)
    except RowError as error:
        place = f"row {error.row + table.FIRST_ROW}: column {error.column!r}"
        raise DataError(f"{path}: {place}: {error.reason}") from error
    except DataError as error:
        raise DataError(f"{path}: row 1: {error}") from error


def write(predictions: Predictions, path: str | os.PathLike[str]) -> None:
    """Write predictions to a CSV file, or to a Parquet file if the name ends in .parquet.

    Floats are written exactly: what is read again is equal.

    Raises:
        OutputError: The place cannot be written.
        MissingExtraError: Parquet is wanted, and pyarrow is not installed.
    """
    table.write(predictions.file_columns(), Path(path))


def put_together(parts: Iterable[Predictions]) -> Predictions:
    """The rows of several predictions in order; classes meet by name, in the first one's order.

    Logits are kept where every part has them; a meta column that a part lacks is empty there.

    Raises:
        DataError: The parts know different classes, or a case stands twice.
    """
    parts = list(parts)
    if not parts:
        raise DataError("There are no predictions to put together. Give at least one.")
    parts = [part.in_order_of(parts[0].classes) for part in parts]
    logits = [part.logits for part in parts if part.logits is not None]
    meta = {
        name: [cell for part in parts for cell in part.meta.get(name, [""] * len(part))]
        for name in dict.fromkeys(name for part in parts for name in part.meta)
    }
    return Predictions(
        classes=parts[0].classes,
        logits=np.concatenate(logits) if len(logits) == len(parts) else None,
        meta=meta,
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in cells.ARRAYS},
    )


class PredictionWriter:
    """A CSV file of predictions that grows row by row and takes its name when the block ends.

    An error inside the block leaves no file, or, with `keep_on_error`, the rows written before it.

    Example:
        with PredictionWriter("predictions.csv", classes=("complete", "incomplete")) as writer:
            writer.write(Prediction("a.png", {"complete": 0.9, "incomplete": 0.1}))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        classes: Sequence[str] | None = None,
        *,
        meta: Sequence[str] = (),
        keep_on_error: bool = False,
    ) -> None:
        """Name the file; classes and meta columns not given here are those of the first rows written."""
        self.path = Path(path)
        self.rows = 0
        self._classes = None if classes is None else tuple(classes)
        self._meta = tuple(meta)
        self._keep_on_error = keep_on_error
        self._header: list[str] | None = None
        self._seen: set[tuple[object, ...]] = set()
        self._stack = contextlib.ExitStack()
        self._stream: IO[str] | None = None

    def __enter__(self) -> Self:
        self._stream = self._stack.enter_context(whole(self.path))
        return self

    def write(self, rows: Prediction | Predictions) -> None:
        """Append one prediction, or many.

        Raises:
            ConfigurationError: The rows have other columns than the first ones, or the file is not open.
            RowError: A row that cannot be, or that stands in the file already.
        """
        if self._stream is None:
            raise ConfigurationError(f"{self.path} is not open: write inside `with PredictionWriter(...)`.")
        if isinstance(rows, Prediction):
            rows = Predictions.from_rows([rows], self._classes)
        columns = self._fitting(rows)
        cells.check_unique(rows.keys(), self._seen)
        table.write_rows(self._stream, zip(*columns, strict=True))
        self.rows += len(rows)

    def _fitting(self, rows: Predictions) -> list[list[Any]]:
        """The columns of the rows in the order of the header, which the first rows set."""
        columns = rows.file_columns()
        columns = {META + name: [""] * len(rows) for name in self._meta} | columns
        if self._header is None:
            if self._classes is not None and set(self._classes) != set(rows.classes):
                raise ConfigurationError(
                    f"Classes {list(rows.classes)} were given; expected {list(self._classes)}."
                )
            self._classes = self._classes or rows.classes
            self._meta = tuple(dict.fromkeys((*self._meta, *rows.meta)))
            self._begin(logits=rows.logits is not None)
        header = self._header or []
        if set(columns) != set(header):
            odd = sorted(set(columns) ^ set(header))
            raise ConfigurationError(
                f"{self.path}: columns {odd} stand in some rows only. "
                "Give every row the same classes and logits, and name all meta columns at the start."
            )
        return [columns[name] for name in header]

    def _begin(self, *, logits: bool) -> None:
        classes = self._classes or ()
        scores = [LOGIT + name for name in classes] if logits else []
        scores += [PROB + name for name in classes]
        meta = [META + name for name in self._meta]
        self._header = [*cells.BEFORE_SCORES, *scores, *cells.AFTER_SCORES, *meta]
        if self._stream is not None:
            table.write_rows(self._stream, [self._header])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        keep = kind is None or self._keep_on_error
        if keep and self._header is None and self._classes is not None:
            self._begin(logits=False)
        self._stream = None
        if keep:
            self._stack.close()
        else:
            self._stack.__exit__(kind, error, trace)


def _from_columns(columns: dict[str, list[Any]]) -> Predictions:
    header = list(columns)
    for required in ("case", "label"):
        if required not in columns:
            raise DataError(f"column {required!r} is missing. {did_you_mean(required, header)}")
    classes = [name.removeprefix(PROB) for name in header if name.startswith(PROB)]
    if not classes:
        raise DataError(f"no column prob_<class>. {did_you_mean('prob_' + 'class', header)}")
    with_logits = {name.removeprefix(LOGIT) for name in header if name.startswith(LOGIT)}
    if with_logits and with_logits != set(classes):
        odd = sorted(with_logits ^ set(classes))
        raise DataError(
            f"classes {odd} have a logit or a probability, not both. Give every class both, or no logits."
        )
    _check_schema(columns.get("schema_version", []))

    def scores(prefix: str) -> Any:
        return np.column_stack(
            [cells.float_column(columns[prefix + name], prefix + name) for name in classes]
        )

    meta: dict[str, list[Any]] = {}
    for name in header:
        if name not in _KNOWN and not name.startswith((PROB, LOGIT)):
            _refuse_near_miss(name, header)
            meta[name.removeprefix(META)] = columns[name]
    given = {name: columns[name] for name in TEXTS + NUMBERS if name in columns}
    if "rule" in given:
        given["rule"] = [rule or "argmax" for rule in given["rule"]]
    return Predictions(
        classes,
        columns["case"],
        scores(PROB),
        logits=scores(LOGIT) if with_logits else None,
        label=map(_name, columns["label"]),
        predicted=map(_name, columns["predicted"]) if "predicted" in columns else None,
        abstain=columns.get("abstain", False),
        meta=meta,
        **given,
    )


def _name(value: Any) -> str:
    return "" if value is None else str(value)


def _check_schema(versions: Sequence[Any]) -> None:
    for row, version in enumerate(versions):
        if str(version) not in ("", "None", str(cells.SCHEMA_VERSION)):
            reason = f"is {version}; this version of monai_brain reads {cells.SCHEMA_VERSION}."
            raise RowError(row, "schema_version", reason)


def _refuse_near_miss(name: str, header: Sequence[str]) -> None:
    """Refuse `patient` where patient_id is absent: a misspelt column must not lose its meaning in silence."""
    import difflib

    near = difflib.get_close_matches(name.lower(), _KNOWN, n=1, cutoff=0.8)
    if near and near[0] not in header:
        raise DataError(
            f"unknown column {name!r}. Did you mean {near[0]!r}? A column of your own is named 'meta_{name}'."
        )
