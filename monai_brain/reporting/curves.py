"""The numbers behind the curves, from predictions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_brain.evaluation.predictions import Predictions

Points = list[tuple[float, float]]
_MOST_POINTS = 160  # a curve of thousands of steps looks the same with these


def roc(predictions: Predictions, index: int) -> Points:
    """One class against the others: false alarms and sensitivity at each threshold.

    Empty where the class, or every other one, has no case.
    """
    positive = predictions.label == index
    if positive.all() or not positive.any():
        return []
    order = np.argsort(-predictions.probs[:, index], kind="stable")
    score, hit = predictions.probs[order, index], positive[order]
    last = np.append(score[1:] != score[:-1], True)  # equal scores are one step
    true, false = np.cumsum(hit)[last] / hit.sum(), np.cumsum(~hit)[last] / (~hit).sum()
    points = [(0.0, 0.0), *zip(false.tolist(), true.tolist(), strict=True)]
    return thinned(corners(points))


def coverage(predictions: Predictions) -> Points:
    """The share of cases answered, the surest first, and the accuracy among them."""
    sure = predictions.probs[np.arange(len(predictions)), predictions.predicted]
    order = np.argsort(-sure, kind="stable")
    right = (predictions.predicted == predictions.label)[order]
    last = np.append(sure[order][1:] != sure[order][:-1], True)
    count = np.arange(1, len(right) + 1)
    points = zip((count / len(right))[last].tolist(), (np.cumsum(right) / count)[last].tolist(), strict=True)
    return thinned(list(points))


def corners(points: Points) -> Points:
    """The points without those that lie on the straight line between their neighbours."""
    kept: Points = []
    for point in points:
        while len(kept) > 1 and _straight(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return kept


def thinned(points: Points) -> Points:
    """At most so many of the points, the first and the last among them."""
    if len(points) <= _MOST_POINTS:
        return points
    chosen = np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int)
    return [points[index] for index in dict.fromkeys(chosen.tolist())]


@dataclass(frozen=True)
class Severity:
    """Accuracy under one fault: points by severity, for each model."""

    fault: str
    lines: dict[str, Points]


def severities(content: object) -> list[Severity]:
    """The curves that a robustness test wrote: of each fault the points by severity."""
    found = []
    for curve in content if isinstance(content, list) else []:
        points = curve.get("points") if isinstance(curve, Mapping) else None
        if isinstance(points, list) and isinstance(curve.get("fault"), str):
            rows = [{**point, "fault": curve["fault"]} for point in points if isinstance(point, Mapping)]
            found += of_rows(rows)
    return found


def of_rows(rows: Sequence[Mapping[str, Any]]) -> list[Severity]:
    """The curves that rows with a fault, a severity and an accuracy make; none where they hold no such."""
    found: dict[str, dict[str, Points]] = {}
    for row in rows:
        fault, severity, value = row.get("fault"), row.get("severity"), row.get("accuracy")
        value = value.get("value") if isinstance(value, Mapping) else value
        if not isinstance(fault, str) or not _number(severity) or not _number(value):
            continue
        name = " ".join(str(row[key]) for key in ("model", "variant") if row.get(key)) or "model"
        found.setdefault(fault, {}).setdefault(name, []).append((float(severity or 0), float(value or 0)))
    return [
        Severity(fault, {name: sorted(set(points)) for name, points in lines.items()})
        for fault, lines in found.items()
    ]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _straight(one: tuple[float, float], middle: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether the middle point adds nothing to a curve of steps that go right or up."""
    return (one[0] == middle[0] == other[0]) or (one[1] == middle[1] == other[1])
