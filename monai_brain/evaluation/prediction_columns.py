"""The columns of predictions.csv: their names, their order, how cells become arrays, what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from monai_brain.errors import DataError, did_you_mean

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
StrArray: TypeAlias = npt.NDArray[np.str_]

SCHEMA_VERSION = 1
LOGIT, PROB, META = "logit_", "prob_", "meta_"
NUMBERS = ("fold", "repeat")
TEXTS = (
    "image", "split", "variant", "patient_id", "group", "source", "plane", "rule", "model", "weights_sha256",
)  # fmt: skip
BEFORE_SCORES = (
    "schema_version", "case", "image", "split", "fold", "repeat", "variant", "patient_id", "group", "source",
    "plane", "label", "predicted", "rule", "abstain",
)  # fmt: skip
AFTER_SCORES = ("model", "weights_sha256")
ARRAYS = ("case", "probs", "label", "predicted", "abstain", *TEXTS, *NUMBERS)
SPLITS = ("train", "validation", "test")
RULES = ("argmax", "threshold")
NONE = -1  # in memory: no label, no fold, no repeat; an empty cell in the file

# Probabilities rounded to three decimals by another program still count as summing to one.
SUM_TOLERANCE = 5e-3
TIE_TOLERANCE = 1e-6
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


class RowError(DataError):
    """A fault of one cell: its row (from 0), its column, and what is wrong with it."""

    def __init__(self, row: int, column: str, reason: str) -> None:
        self.row, self.column, self.reason = row, column, reason
        super().__init__(f"row {row}: column {column!r}: {reason}")


def text_array(values: str | Iterable[Any], count: int, column: str) -> StrArray:
    """Text cells as a (count,) array; one string stands for every row.

    Control characters and undecodable bytes become visible escapes, so that every row stays on its own line.
    """
    if isinstance(values, str):
        values = [values] * count
    cells = ["" if value is None else str(value) for value in values]
    return _of_length(np.array([_printable(cell) for cell in cells], dtype=np.str_), count, column)


def number_array(values: int | Iterable[Any] | None, count: int, column: str) -> IntArray:
    """Whole numbers from 0 up as a (count,) array, NONE where a cell is empty."""
    if values is None or isinstance(values, (int, np.integer)):
        values = [values] * count
    return _of_length(np.array(_each(values, column, _whole_number), dtype=np.int64), count, column)


def flag_array(values: bool | Iterable[Any], count: int, column: str) -> BoolArray:
    """True and false cells as a (count,) array; empty is false."""
    if isinstance(values, bool):
        values = [values] * count
    return _of_length(np.array(_each(values, column, _flag), dtype=np.bool_), count, column)


def class_array(values: Iterable[Any], classes: Sequence[str], count: int, column: str) -> IntArray:
    """Class names, or their indices, as a (count,) array of indices; NONE where a cell is empty."""
    index = {name: number for number, name in enumerate(classes)} | {"": NONE}

    def position(value: Any) -> int:
        if isinstance(value, (int, np.integer)) and NONE <= value < len(classes):
            return int(value)
        name = "" if value is None else str(value)
        if name not in index:
            raise ValueError(f"unknown class {name!r}. {did_you_mean(name, classes)}")
        return index[name]

    return _of_length(np.array(_each(values, column, position), dtype=np.int64), count, column)


def float_column(values: Iterable[Any], column: str) -> FloatArray:
    """Numbers as an array; an empty cell, NaN or infinity is refused."""
    found = np.array(_each(values, column, _number), dtype=np.float64)
    for row in np.flatnonzero(~np.isfinite(found))[:1]:
        raise RowError(int(row), column, f"{found[row]} is not finite.")
    return found


def check_probs(probs: FloatArray, classes: Sequence[str]) -> None:
    """Refuse probabilities that are not finite, not within 0 and 1, or do not sum to 1."""
    wrong = ~((probs >= 0) & (probs <= 1))
    for row, number in np.argwhere(wrong)[:1]:
        raise RowError(int(row), PROB + classes[number], f"{probs[row, number]} is not a number from 0 to 1.")
    sums = probs.sum(axis=1)
    for row in np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)[:1]:
        raise RowError(int(row), f"{PROB}*", f"the probabilities sum to {sums[row]:.6g}; expected 1.")


def check_predicted(probs: FloatArray, predicted: IntArray, rule: StrArray) -> None:
    """Refuse an empty predicted class, and one that is not the most probable where the rule is argmax."""
    for row in np.flatnonzero(predicted == NONE)[:1]:
        raise RowError(int(row), "predicted", "is empty; expected a class name.")
    chosen = probs[np.arange(len(probs)), predicted]
    short = (rule == "argmax") & (chosen < probs.max(axis=1, initial=0.0) - TIE_TOLERANCE)
    for row in np.flatnonzero(short)[:1]:
        reason = (
            "is not the most probable class. If it was chosen by a threshold, say 'threshold' under rule."
        )
        raise RowError(int(row), "predicted", reason)


def check_choice(values: StrArray, column: str, allowed: Sequence[str]) -> None:
    """Refuse a text cell that is none of the allowed words."""
    for row in np.flatnonzero(~np.isin(values, list(allowed)))[:1]:
        word = str(values[row])
        raise RowError(
            int(row), column, f"unknown value {word!r}. {did_you_mean(word, [a for a in allowed if a])}"
        )


def check_unique(keys: Iterable[tuple[object, ...]], seen: set[tuple[object, ...]] | None = None) -> None:
    """Refuse a case that stands twice in one fold, repeat, variant and model; `seen` is added to."""
    seen = set() if seen is None else seen
    for row, key in enumerate(keys):
        if key in seen:
            raise RowError(
                row, "case", f"{key[0]!r} stands twice in the same fold, repeat, variant and model."
            )
        seen.add(key)


def _printable(text: str) -> str:
    if _UNPRINTABLE.search(text) is None:
        return text
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _of_length(array: Any, count: int, column: str) -> Any:
    if array.shape != (count,):
        raise DataError(f"column {column!r} has shape {array.shape}; expected ({count},), one value a case.")
    return array


def _each(values: Iterable[Any], column: str, convert: Callable[[Any], Any]) -> list[Any]:
    converted: list[Any] = []
    for row, value in enumerate(values):
        try:
            converted.append(convert(value))
        except ValueError as error:
            raise RowError(row, column, str(error)) from error
    return converted


def _number(value: Any) -> float:
    if value is None or value == "":
        raise ValueError("is empty; expected a number.")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is not a number.") from None


def _whole_number(value: Any) -> int:
    if value is None or value == "":
        return NONE
    number = _number(value)
    if number != number:  # pandas writes a missing whole number as NaN into Parquet
        return NONE
    if number not in (NONE, abs(number)) or not number.is_integer():
        raise ValueError(f"{value!r} is not a whole number from 0 up.")
    return int(number)


def _flag(value: Any) -> bool:
    word = str(value).lower()
    if word in ("true", "1", "yes"):
        return True
    if word in ("false", "0", "no", "", "none"):
        return False
    raise ValueError(f"{value!r} is neither true nor false.")
