"""Figures fold by fold, their mean and spread, and a temperature for each fold's own model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from monai_brain.evaluation import calibration
from monai_brain.evaluation.metrics import OVERALL, Sample, measure
from monai_brain.evaluation.prediction_columns import NONE, BoolArray
from monai_brain.evaluation.predictions import Predictions, put_together


def spread(rows: Predictions) -> dict[str, Any] | None:
    """Each fold's figures, their mean and standard deviation; None where there are fewer than two folds."""
    folds: list[dict[str, Any]] = []
    for numbers, chosen in _folds(rows):
        own = rows.subset(chosen)
        found = measure(Sample.of(own))
        values = {name: float(found[name][0]) for name in OVERALL}
        defined = {name: value if np.isfinite(value) else None for name, value in values.items()}
        folds.append({**numbers, "cases": len(own), **defined})
    if len(folds) < 2:
        return None
    mean, deviation = {}, {}
    for name in OVERALL:
        column = [fold[name] for fold in folds]
        whole = None not in column
        mean[name] = float(np.mean(column)) if whole else None
        deviation[name] = float(np.std(column, ddof=1)) if whole else None
    return {"folds": folds, "mean": mean, "standard_deviation": deviation}


def after_temperature(rows: Predictions, everything: Predictions) -> dict[str, Any] | None:
    """The calibration of the rows once each fold's temperature, fitted on its validation rows, is applied.

    None where a fold has no labelled validation rows among everything, or where such rows are measured.
    """
    if (rows.split == "validation").any():
        return None
    usable = (everything.split == "validation") & (everything.label != NONE)
    usable &= (everything.model == rows.model[0]) & (everything.variant == rows.variant[0])
    parts, fits = [], []
    for numbers, chosen in _folds(rows):
        fold, repeat = (NONE if numbers[name] is None else numbers[name] for name in ("fold", "repeat"))
        held = usable & (everything.fold == fold) & (everything.repeat == repeat)
        if not held.any():
            return None
        fit = calibration.fit_temperature(everything.subset(held))
        parts.append(calibration.apply_temperature(rows.subset(chosen), fit.value))
        fits.append({**numbers, **fit.as_json()})
    return {"temperatures": fits, **calibration.measured(put_together(parts))}


def _folds(rows: Predictions) -> Iterator[tuple[dict[str, int | None], BoolArray]]:
    """The numbers of each repeat and fold, and which rows are of it."""
    for repeat, fold in sorted(set(zip(rows.repeat.tolist(), rows.fold.tolist(), strict=True))):
        numbers = {"repeat": repeat, "fold": fold}
        chosen = (rows.repeat == repeat) & (rows.fold == fold)
        yield {name: None if number == NONE else number for name, number in numbers.items()}, chosen
