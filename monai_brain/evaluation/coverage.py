"""Accuracy among the cases that a model is surest of: what it would be worth to let it abstain."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_brain.errors import DataError
from monai_brain.evaluation.prediction_columns import NONE
from monai_brain.evaluation.prediction_rows import Predictions

LEVELS = tuple(round(1 - step / 20, 2) for step in range(20))  # 1, 0.95, ... 0.05


def coverage_curve(predictions: Predictions) -> dict[str, Any]:
    """Accuracy of the answered cases where only the surest are answered, from all of them to a twentieth.

    A case's confidence is its highest probability. "threshold" is the least confidence that is answered;
    "area" is the mean accuracy over all shares of the cases (1 less the area under the risk-coverage
    curve), so that a higher one is better.

    Raises:
        DataError: There is no labelled case.
    """
    rows = predictions.subset(predictions.label != NONE)
    if len(rows) == 0:
        raise DataError("There is no labelled case to measure. Give cases with a label.")
    confidence = rows.probs.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (rows.predicted == rows.label)[order]
    running = np.cumsum(right) / np.arange(1, len(rows) + 1)
    points = []
    for level in LEVELS:
        answered = max(1, int(np.ceil(level * len(rows) - 1e-9)))
        points.append(
            {
                "coverage": level,
                "cases": answered,
                "threshold": float(confidence[order[answered - 1]]),
                "accuracy": float(running[answered - 1]),
            }
        )
    return {"points": points, "area": float(running.mean())}
