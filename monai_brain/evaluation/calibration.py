"""Whether a probability of 0.9 is right in nine cases of ten, and one temperature that brings it nearer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

from monai_brain.errors import DataError
from monai_brain.evaluation.prediction_columns import NONE, FloatArray, IntArray
from monai_brain.evaluation.prediction_rows import Predictions

BINS = 15
TEMPERATURES = (0.05, 20.0)

_FLAT = 1e-9  # a loss that differs by less is the same
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Bin:
    """One bin of the reliability curve: confidence above `low` and up to `high`."""

    low: float
    high: float
    cases: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature, with the mean negative log-likelihood of its cases before and after.

    `at_bound` says that the likelihood grows up to the bound, as it does where all cases are right: such a
    temperature tells nothing but that more validation cases are needed.
    """

    value: float
    cases: int
    loss_before: float
    loss_after: float
    at_bound: bool

    def as_json(self) -> dict[str, Any]:
        """The fit as a JSON object."""
        return asdict(self)


def reliability(label: IntArray, predicted: IntArray, probs: FloatArray, bins: int = BINS) -> list[Bin]:
    """The reliability curve: accuracy against the predicted class's probability, in bins of equal width."""
    confidence = probs[np.arange(len(probs)), predicted]
    right = label == predicted
    edges = np.linspace(0, 1, bins + 1)
    of = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(of, minlength=bins)
    sums = [np.bincount(of, weights=values, minlength=bins) for values in (confidence, right)]
    return [
        Bin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            cases=int(count[i]),
            confidence=float(sums[0][i] / count[i]) if count[i] else None,
            accuracy=float(sums[1][i] / count[i]) if count[i] else None,
        )
        for i in range(bins)
    ]


def expected_calibration_error(
    label: IntArray, predicted: IntArray, probs: FloatArray, bins: int = BINS
) -> float:
    """The mean gap between confidence and accuracy over the bins of `reliability`, weighted by cases."""
    return sum(
        one.cases * abs(one.confidence - one.accuracy) / len(label)
        for one in reliability(label, predicted, probs, bins)
        if one.confidence is not None and one.accuracy is not None
    )


def brier(label: IntArray, probs: FloatArray) -> float:
    """The mean squared distance from the truth: summed over classes (0 to 2), halved for two classes."""
    truth = np.eye(probs.shape[1])[label]
    total = float(((probs - truth) ** 2).sum(axis=1).mean())
    return total / 2 if probs.shape[1] == 2 else total


def negative_log_likelihood(label: IntArray, logits: FloatArray, temperature: float = 1.0) -> float:
    """The mean of -log p(truth) under softmax(logits / temperature)."""
    logs = special.log_softmax(logits / temperature, axis=1)
    return float(-logs[np.arange(len(label)), label].mean())


def measured(predictions: Predictions) -> dict[str, float]:
    """The three figures of calibration of labelled predictions, by name."""
    label, probs = predictions.label, predictions.probs
    return {
        "expected_calibration_error": expected_calibration_error(label, predictions.predicted, probs),
        "brier": brier(label, probs),
        "negative_log_likelihood": negative_log_likelihood(label, logits_of(predictions)),
    }


def logits_of(predictions: Predictions) -> FloatArray:
    """The logits; where a file has none the logarithms of the probabilities, which differ by a constant."""
    if predictions.logits is not None:
        return predictions.logits
    return np.log(np.maximum(predictions.probs, _TINY))


def fit_temperature(predictions: Predictions) -> Temperature:
    """The temperature that makes validation cases likeliest (Guo et al. 2017).

    Rows of the split "validation" are used where there are any, else all rows, but never test rows.

    Raises:
        DataError: There is no labelled row to fit on.
    """
    chosen = validation_rows(predictions, "a temperature")
    logits, label = logits_of(chosen), chosen.label

    def loss(temperature: float) -> float:
        return negative_log_likelihood(label, logits, temperature)

    found = optimize.minimize_scalar(
        lambda logarithm: loss(float(np.exp(logarithm))),
        bounds=tuple(np.log(TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    value = float(np.exp(found.x))
    bound = min(TEMPERATURES, key=loss)
    at_bound = loss(bound) <= loss(value) + _FLAT
    value = bound if at_bound else value
    return Temperature(value, len(chosen), loss(1.0), loss(value), at_bound)


def apply_temperature(predictions: Predictions, temperature: float) -> Predictions:
    """The predictions with logits divided by the temperature; the most probable class stays the same."""
    logits = logits_of(predictions) / temperature
    return predictions.replaced(probs=special.softmax(logits, axis=1), logits=logits)


def validation_rows(predictions: Predictions, purpose: str) -> Predictions:
    """The labelled validation rows, or all labelled rows of a file that tells no split.

    Raises:
        DataError: There are none, or the file holds other splits only.
    """
    rows = predictions
    if (predictions.split != "").any():
        rows = predictions.where(split="validation")
    rows = rows.subset(rows.label != NONE)
    if len(rows) == 0:
        splits = sorted(set(predictions.split.tolist()) - {""})
        given = f"the splits {splits}" if splits else "no label"
        raise DataError(f"Choosing {purpose} needs labelled validation cases; the predictions hold {given}.")
    return rows
