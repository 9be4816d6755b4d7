"""Thresholds for a stated aim, chosen on validation cases, with the false alarms they cost."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from monai_brain.errors import ConfigurationError, DataError, UnknownNameError
from monai_brain.evaluation.calibration import validation_rows
from monai_brain.evaluation.prediction_rows import Predictions

MEASURES = ("sensitivity", "specificity")

_FORM = re.compile(r"(?P<name>.+):(?P<measure>[a-z]+)=(?P<value>[0-9.eE+-]+)")


@dataclass(frozen=True)
class Aim:
    """What a threshold shall reach for one class, as in "incomplete:sensitivity=0.95"."""

    class_name: str
    measure: str
    value: float

    def __str__(self) -> str:
        return f"{self.class_name}:{self.measure}={self.value:g}"


@dataclass(frozen=True)
class Threshold:
    """A class is predicted where its probability is at least `value`; the rest tells how that went.

    Attributes:
        class_name: The class.
        value: The least probability.
        aim: What was asked for.
        sensitivity: The share of the class's cases found.
        false_alarm_rate: The share of other cases called so: 1 - specificity.
        positives: The validation cases of the class.
        negatives: The validation cases of other classes.
    """

    class_name: str
    value: float
    aim: str
    sensitivity: float
    false_alarm_rate: float
    positives: int
    negatives: int

    def as_json(self) -> dict[str, Any]:
        """The threshold as a JSON object."""
        return asdict(self)


def parse_aim(text: str, classes: Sequence[str]) -> Aim:
    """The aim that a text like "incomplete:sensitivity=0.95" states.

    Raises:
        ConfigurationError: The text is no aim.
        UnknownNameError: The class or the measure is unknown.
    """
    found = _FORM.fullmatch(text.strip())
    try:
        value = float(found["value"]) if found else math.nan
    except ValueError:
        value = math.nan
    if found is None or not 0 < value <= 1:
        raise ConfigurationError(
            f"{text!r} is no aim. Expected CLASS:sensitivity=S or CLASS:specificity=S, S above 0 and up to 1."
        )
    if found["name"] not in classes:
        raise UnknownNameError("class", found["name"], classes)
    if found["measure"] not in MEASURES:
        raise UnknownNameError("measure", found["measure"], MEASURES)
    return Aim(found["name"], found["measure"], value)


def choose_threshold(predictions: Predictions, aim: Aim | str) -> Threshold:
    """The threshold that reaches the aim on validation cases at the least cost.

    For a sensitivity it is the highest that reaches it, for a specificity the lowest. It stands midway
    between two neighbouring probabilities, so that rounding elsewhere moves no case over it.

    Raises:
        DataError: There are no validation cases, or none of the class, or only such.
    """
    if isinstance(aim, str):
        aim = parse_aim(aim, predictions.classes)
    rows = validation_rows(predictions, f"a threshold for {aim}")
    index = rows.classes.index(aim.class_name)
    score, positive = rows.probs[:, index], rows.label == index
    found, others = score[positive], score[~positive]
    if len(found) == 0 or len(others) == 0:
        raise DataError(
            f"A threshold for {aim} needs validation cases of {aim.class_name} and of other classes; "
            f"there are {len(found)} and {len(others)}."
        )
    if aim.measure == "sensitivity":
        needed = math.ceil(aim.value * len(found) - 1e-9)
        least = np.sort(found)[len(found) - needed]
        below = score[score < least].max(initial=0.0)
        value = min(least, _between(below, least))
    else:
        allowed = math.floor((1 - aim.value) * len(others) + 1e-9)
        ranked = np.sort(others)[::-1]
        refused = ranked[allowed] if allowed < len(ranked) else 0.0
        above = score[score > refused]
        value = _between(refused, above.min() if len(above) else refused)
    return Threshold(
        class_name=aim.class_name,
        value=float(value),
        aim=str(aim),
        sensitivity=float((found >= value).mean()),
        false_alarm_rate=float((others >= value).mean()),
        positives=len(found),
        negatives=len(others),
    )


def apply_threshold(predictions: Predictions, class_name: str, value: float) -> Predictions:
    """The predictions with the class given wherever its probability is at least `value`.

    Elsewhere the most probable of the other classes is given. The rule of every row becomes "threshold".

    Raises:
        UnknownNameError: There is no such class.
    """
    if class_name not in predictions.classes:
        raise UnknownNameError("class", class_name, predictions.classes)
    index = predictions.classes.index(class_name)
    others = predictions.probs.copy()
    others[:, index] = -1.0
    predicted = np.where(predictions.probs[:, index] >= value, index, others.argmax(axis=1))
    return predictions.replaced(predicted=predicted, rule="threshold")


def _between(low: float, high: float) -> float:
    """The middle, or the next number above `low` where nothing lies between."""
    return max((low + high) / 2, math.nextafter(low, math.inf))
