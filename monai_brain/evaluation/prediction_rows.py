"""Predictions of many cases in memory, as numpy columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_brain.errors import DataError, UnknownNameError
from monai_brain.evaluation import prediction_columns as cells
from monai_brain.evaluation.prediction import Prediction
from monai_brain.evaluation.prediction_columns import (
    LOGIT,
    META,
    NONE,
    NUMBERS,
    PROB,
    TEXTS,
    BoolArray,
    FloatArray,
    IntArray,
    RowError,
    StrArray,
)


class Predictions:
    """Predictions of many cases as numpy columns, valid once constructed.

    Attributes:
        classes: The class names, in the model's order.
        probs: Probabilities, (N, C).
        logits: Logits, (N, C), or None.
        label: Index of the true class, (N,); -1 where it is not known.
        predicted: Index of the predicted class, (N,).
        abstain: True where the model declined to answer, (N,).
        fold: Number of the fold, (N,); -1 where there is none. `repeat` alike.
        meta: Further columns by name, without their prefix `meta_`; text, (N,).

    Raises:
        RowError: A cell that cannot be, with its row and column.
    """

    case: StrArray
    image: StrArray
    split: StrArray
    variant: StrArray
    patient_id: StrArray
    group: StrArray
    source: StrArray
    plane: StrArray
    rule: StrArray
    model: StrArray
    weights_sha256: StrArray
    fold: IntArray
    repeat: IntArray

    def __init__(
        self,
        classes: Sequence[str],
        case: Iterable[str],
        probs: Any,
        *,
        logits: Any = None,
        label: Iterable[Any] | None = None,
        predicted: Iterable[Any] | None = None,
        abstain: bool | Iterable[Any] = False,
        meta: Mapping[str, Any] | None = None,
        **columns: Any,
    ) -> None:
        """Build from arrays or lists; a single value of a column stands for every row.

        `label` and `predicted` take class names or integer arrays of indices.
        """
        self.classes: tuple[str, ...] = tuple(classes)
        if len(set(self.classes)) != len(self.classes) or not self.classes:
            raise DataError(f"Expected at least one class, each named once; given {list(classes)}.")
        case = list(case)
        count = len(case)
        self.case = cells.text_array(case, count, "case")
        for row in np.flatnonzero(self.case == "")[:1]:
            raise RowError(int(row), "case", "is empty; expected a name.")
        self.probs: FloatArray = self._scores(probs, PROB)
        cells.check_probs(self.probs, self.classes)
        self.logits: FloatArray | None = None if logits is None else self._scores(logits, LOGIT)
        for name in columns:
            if name not in TEXTS + NUMBERS:
                raise UnknownNameError("column", name, TEXTS + NUMBERS)
        for name in TEXTS:
            default = "argmax" if name == "rule" else ""
            setattr(self, name, cells.text_array(columns.get(name, default), count, name))
        for name in NUMBERS:
            setattr(self, name, cells.number_array(columns.get(name), count, name))
        unknown: IntArray = np.full(count, NONE, dtype=np.int64)
        self.label: IntArray = (
            unknown if label is None else cells.class_array(label, self.classes, count, "label")
        )
        self.predicted: IntArray = (
            np.argmax(self.probs, axis=1)
            if predicted is None
            else cells.class_array(predicted, self.classes, count, "predicted")
        )
        self.abstain: BoolArray = cells.flag_array(abstain, count, "abstain")
        self.meta: dict[str, StrArray] = {
            name: cells.text_array(values, count, META + name) for name, values in (meta or {}).items()
        }
        cells.check_choice(self.split, "split", ("", *cells.SPLITS))
        cells.check_choice(self.rule, "rule", cells.RULES)
        cells.check_predicted(self.probs, self.predicted, self.rule)
        cells.check_unique(self.keys())

    def _scores(self, values: Any, prefix: str) -> FloatArray:
        scores = np.asarray(values, dtype=np.float64)
        if scores.size == 0 and len(self.case) == 0:
            scores = scores.reshape(0, len(self.classes))
        expected = (len(self.case), len(self.classes))
        if scores.shape != expected:
            raise DataError(f"{prefix}* has shape {scores.shape}; expected {expected}, cases by classes.")
        for row, number in np.argwhere(~np.isfinite(scores))[:1]:
            reason = f"{scores[row, number]} is not finite."
            raise RowError(int(row), prefix + self.classes[number], reason)
        return scores

    def __len__(self) -> int:
        return len(self.case)

    def __getitem__(self, row: int) -> Prediction:
        columns: dict[str, Any] = {name: str(getattr(self, name)[row]) for name in TEXTS}
        for name in NUMBERS:
            number = int(getattr(self, name)[row])
            columns[name] = None if number == NONE else number
        for name, scores in (("probs", self.probs), ("logits", self.logits)):
            if scores is not None:
                columns[name] = dict(zip(self.classes, scores[row].tolist(), strict=True))
        return Prediction(
            case=str(self.case[row]),
            label=self.class_name(self.label[row]),
            predicted=self.class_name(self.predicted[row]),
            abstain=bool(self.abstain[row]),
            meta={name: str(values[row]) for name, values in self.meta.items()},
            **columns,
        )

    def __iter__(self) -> Iterator[Prediction]:
        return (self[row] for row in range(len(self)))

    def class_name(self, index: int) -> str:
        """The name of a class by its index; empty for -1."""
        return "" if index == NONE else self.classes[index]

    def column(self, name: str) -> StrArray | IntArray | BoolArray:
        """A column by its name in the file; `label` and `predicted` as class names.

        Raises:
            UnknownNameError: There is no such column.
        """
        if name in ("label", "predicted"):
            names = np.array([*self.classes, ""])
            return names[getattr(self, name)]
        if name in ("case", "abstain", *TEXTS, *NUMBERS):
            return getattr(self, name)
        found = self.meta.get(name, self.meta.get(name.removeprefix(META)))
        if found is None:
            known = ("case", "label", "predicted", "abstain", *TEXTS, *NUMBERS, *self.meta)
            raise UnknownNameError("column", name, known)
        return found

    @property
    def groups(self) -> StrArray | None:
        """What belongs together, (N,), by group, else patient_id, else the case; None if none is named."""
        known = np.where(self.group != "", self.group, self.patient_id)
        if not (known != "").any():
            return None
        return np.where(known != "", known, np.char.add("case:", self.case))

    def subset(self, mask: npt.ArrayLike) -> Predictions:
        """The rows chosen by a boolean mask or by row numbers."""
        chosen = np.asarray(mask)
        if chosen.dtype == np.bool_ and chosen.shape != (len(self),):
            raise DataError(f"The mask has shape {chosen.shape}; expected ({len(self)},), one value a case.")
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        return Predictions(
            classes=self.classes,
            meta={name: values[chosen] for name, values in self.meta.items()},
            logits=None if self.logits is None else self.logits[chosen],
            **{name: getattr(self, name)[chosen] for name in cells.ARRAYS},
        )

    def replaced(self, **columns: Any) -> Predictions:
        """The same rows with other columns, named as the constructor names them."""
        kept = {name: getattr(self, name) for name in (*cells.ARRAYS, "classes", "logits", "meta")}
        return Predictions(**(kept | columns))

    def in_order_of(self, classes: Sequence[str]) -> Predictions:
        """The same rows with the classes in another order.

        Raises:
            DataError: The classes are not the same.
        """
        if set(classes) != set(self.classes) or len(classes) != len(self.classes):
            given = f"{list(self.classes)} cannot stand beside {list(classes)}"
            raise DataError(f"Classes {given}: the same names are expected.")
        order = [self.classes.index(name) for name in classes]
        return self.replaced(
            classes=classes,
            probs=self.probs[:, order],
            logits=None if self.logits is None else self.logits[:, order],
            label=self.column("label"),
            predicted=self.column("predicted"),
        )

    def where(self, **wanted: Any) -> Predictions:
        """The rows whose columns hold the wanted value, or one of several.

        Example:
            predictions.where(split="test", fold=(0, 1))

        Raises:
            UnknownNameError: There is no such column.
        """
        mask = np.ones(len(self), dtype=np.bool_)
        for name, value in wanted.items():
            several = list(value) if isinstance(value, (list, tuple, set, frozenset, np.ndarray)) else [value]
            column = self.column(name)
            none: str | int = "" if column.dtype.kind == "U" else NONE
            mask &= np.isin(column, np.array([none if one is None else one for one in several]))
        return self.subset(mask)

    def file_columns(self) -> dict[str, list[Any]]:
        """The columns as they stand in predictions.csv, in its order; None where a number is absent."""
        found: dict[str, list[Any]] = {}
        for name in cells.BEFORE_SCORES:
            if name == "schema_version":
                found[name] = [cells.SCHEMA_VERSION] * len(self)
            else:
                found[name] = self.column(name).tolist()
        for name in NUMBERS:
            found[name] = [None if number == NONE else number for number in found[name]]
        for prefix, scores in ((LOGIT, self.logits), (PROB, self.probs)):
            if scores is not None:
                found |= {prefix + name: scores[:, i].tolist() for i, name in enumerate(self.classes)}
        found |= {name: self.column(name).tolist() for name in cells.AFTER_SCORES}
        return found | {META + name: values.tolist() for name, values in self.meta.items()}

    def keys(self) -> Iterator[tuple[object, ...]]:
        """What may stand once only: case, fold, repeat, variant and model of each row."""
        columns = (self.case, self.fold, self.repeat, self.variant, self.model)
        return zip(*(column.tolist() for column in columns), strict=True)

    @classmethod
    def from_rows(cls, rows: Iterable[Prediction], classes: Sequence[str] | None = None) -> Predictions:
        """Predictions of many cases from single ones; classes are those of the first row unless given."""
        rows = list(rows)
        if classes is None:
            if not rows:
                raise DataError("No rows were given, and no classes. Give at least one of them.")
            classes = tuple(rows[0].probs)
        for number, row in enumerate(rows):
            for scores in (row.probs, row.logits):
                if scores is not None and set(scores) != set(classes):
                    raise RowError(number, PROB, f"classes {list(scores)}; expected {list(classes)}.")
        logits = None
        if rows and all(row.logits is not None for row in rows):
            logits = [[(row.logits or {})[name] for name in classes] for row in rows]
        probs = [[row.probs[name] for name in classes] for row in rows]
        best = np.argmax(np.array(probs).reshape(len(rows), len(classes)), axis=1)
        meta = dict.fromkeys(name for row in rows for name in row.meta)
        return cls(
            classes,
            [row.case for row in rows],
            probs,
            logits=logits,
            label=[row.label for row in rows],
            predicted=[row.predicted or classes[index] for row, index in zip(rows, best, strict=True)],
            abstain=[row.abstain for row in rows],
            meta={name: [row.meta.get(name, "") for row in rows] for name in meta},
            **{name: [getattr(row, name) for row in rows] for name in TEXTS + NUMBERS},
        )
