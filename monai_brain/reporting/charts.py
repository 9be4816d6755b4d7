"""The figures of a report: ROC, reliability, coverage, training, robustness, models, confusion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from monai_brain.reporting.axes import HEIGHT, WIDTH, Axes, Points, round_up
from monai_brain.reporting.curves import Severity
from monai_brain.reporting.drawing import COLOURS, Box, Dot, Drawing, Key, Label, Line, Mark
from monai_brain.reporting.sheet import Estimate, number

_LETTER = 6.4  # the width of a letter of 12 units, near enough to keep names apart
_DASHES: tuple[tuple[float, float] | None, ...] = (None, (7.0, 4.0), (2.0, 3.0))


def colour(index: int) -> str:
    """The colour of the n-th thing."""
    return f"c{index % COLOURS}"


def _key(index: int, words: str) -> Key:
    return Key(colour(index), words, _DASHES[index % len(_DASHES)])


def roc(found: Mapping[str, tuple[Points, float | None]]) -> Drawing | None:
    """One curve a class, with its area; None where no class has one."""
    curves = {name: pair for name, pair in found.items() if pair[0]}
    if not curves:
        return None
    axes = Axes((0, 1), (0, 1))
    marks = axes.marks("false alarms (1 \u2212 specificity)", "sensitivity")
    marks.append(Line(axes.curve([(0, 0), (1, 1)]), "muted", 1, (2, 4)))
    marks += [
        Line(axes.curve(points), colour(index), 2, _DASHES[index % len(_DASHES)])
        for index, (points, _) in enumerate(curves.values())
    ]
    key = [_key(index, f"{name} {number(area)}") for index, (name, (_, area)) in enumerate(curves.items())]
    says = "Each class against the others; beside its name the area under the curve."
    return Drawing("roc", "ROC curves", WIDTH, HEIGHT, marks, says, key)


def reliability(curve: Sequence[Mapping[str, Any]]) -> Drawing:
    """Accuracy against confidence: a disc for each bin, as large as the share of cases in it."""
    axes = Axes((0, 1), (0, 1))
    bins = [one for one in curve if one["cases"]]
    total = sum(one["cases"] for one in bins)
    marks = axes.marks("probability of the named class", "share that is right")
    marks.append(Line(axes.curve([(0, 0), (1, 1)]), "muted", 1, (2, 4)))
    marks.append(Line(axes.curve([(one["confidence"], one["accuracy"]) for one in bins]), "c0", 1.5))
    for one in bins:
        x, y = axes.place(one["confidence"], one["accuracy"])
        says = f"{one['cases']} cases: says {one['confidence']:.3f}, right {one['accuracy']:.3f}"
        radius = round(3 + 12 * math.sqrt(one["cases"] / total), 2)
        marks.append(Dot(x, y, radius, "c0", opacity=0.45, says=says))
    says = "On the dotted line the model is as often right as it is sure. Discs grow with the cases in a bin."
    return Drawing("reliability", "Reliability", WIDTH, HEIGHT, marks, says)


def coverage(found: Mapping[str, Points]) -> Drawing | None:
    """Accuracy among the surest answers; None without any."""
    lines = {name: points for name, points in found.items() if points}
    if not lines:
        return None
    low = min(y for points in lines.values() for x, y in points if x >= 0.1 or x == 1)
    axes = Axes((0, 1), (max(0.0, math.floor(low * 10 - 0.5) / 10), 1))
    marks = axes.marks("share of images answered, the surest first", "accuracy among them")
    for index, points in enumerate(lines.values()):
        kept = [(x, y) for x, y in points if y >= axes.y[0]]
        marks.append(Line(axes.curve(kept), colour(index), 2, _DASHES[index % len(_DASHES)]))
    key = [_key(index, name) for index, name in enumerate(lines)] if len(lines) > 1 else []
    says = "What accuracy would be if the model left the images of which it is least sure to a reader."
    return Drawing("coverage", "Accuracy with abstention", WIDTH, HEIGHT, marks, says, key)


def training(name: str, title: str, lines: Mapping[str, Points], says: str = "") -> Drawing | None:
    """Curves over the epochs; None where no curve has a point."""
    drawn = {words: points for words, points in lines.items() if points}
    points = [point for line in drawn.values() for point in line]
    if not points:
        return None
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(0.0, *(y for _, y in points)), max(y for _, y in points)
    top = round_up(high) if high > 0 else 0.0 if low < 0 else 1.0
    axes = Axes((first, max(last, first + 1)), (low, top))
    marks = axes.marks("epoch", "", whole=True)
    thin = len(drawn) > 8  # folds of one model: the bundle of curves counts, not which is which
    for index, line in enumerate(drawn.values()):
        shade = "c0" if thin else colour(index)
        width, dash = (1.0, None) if thin else (2.0, _DASHES[index % len(_DASHES)])
        marks.append(Line(axes.curve(line), shade, width, dash))
        if len(line) == 1:
            x, y = axes.place(*line[0])
            marks.append(Dot(x, y, 3.5, shade))
    key = [] if thin or len(drawn) < 2 else [_key(index, words) for index, words in enumerate(drawn)]
    if len(drawn) == 1 and not says:
        says = next(iter(drawn))
    return Drawing(name, title, WIDTH, HEIGHT, marks, says, key)


def severity(found: Severity, low: float) -> Drawing:
    """Accuracy against the severity of one fault, small, to stand among others on the same scale."""
    places = [x for points in found.lines.values() for x, _ in points]
    axes = Axes((min(0.0, *places), max(*places, 1.0)), (low, 1), 280, 210)
    marks = axes.marks("severity", "accuracy")
    for index, points in enumerate(found.lines.values()):
        marks.append(Line(axes.curve(points), colour(index), 2, _DASHES[index % len(_DASHES)]))
        marks += [Dot(*axes.place(x, y), 2.5, colour(index), says=f"{x:g}: {y:.3f}") for x, y in points]
    key = [_key(index, name) for index, name in enumerate(found.lines)] if len(found.lines) > 1 else []
    title = found.fault.replace("_", " ")
    return Drawing(f"robustness_{found.fault}", title.capitalize(), 280, 210, marks, "", key)


def models(rows: Sequence[tuple[str, Estimate, float | None]]) -> Drawing:
    """Accuracy of each model as a dot with its interval, and a ring where its paper puts it."""
    numbers = [
        value
        for _, found, stated in rows
        for value in (found.value, found.low, found.high, stated)
        if value is not None
    ]
    low = max(0.0, math.floor(min(numbers, default=0.0) * 20 - 0.5) / 20)
    left = 14 + _LETTER * max(len(name) for name, _, _ in rows)
    width, step = max(640.0, left + 380), 30.0
    height = 26 + step * len(rows) + 34
    span = width - left - 70

    def across(value: float) -> float:
        return left + 10 + (value - low) / (1 - low) * span

    marks: list[Mark] = []
    for tick in range(6):
        value = low + (1 - low) * tick / 5
        marks.append(Line([(across(value), 12), (across(value), height - 34)], "rule", 1))
        marks.append(Label(across(value), height - 18, f"{value:.3g}", anchor="middle"))
    marks.append(Label(across((1 + low) / 2), height - 2, "accuracy", anchor="middle"))
    for index, (name, found, stated) in enumerate(rows):
        y = 30 + step * index
        marks.append(Label(left, y + 4, name, "ink", "end"))
        if found.low is not None and found.high is not None:
            ends = [(across(max(found.low, low)), y), (across(found.high), y)]
            marks.append(Line(ends, "c0", 3))
        if found.value is not None:
            marks.append(Dot(across(found.value), y, 5, "c0", says=str(found)))
            marks.append(Label(width - 50, y + 4, found.number, "ink"))
        if stated is not None:
            marks.append(Dot(across(stated), y, 5, "c1", hollow=True, says=f"paper {stated:.4f}"))
    key = [Key("c0", "here, with its interval", shape="dot")]
    key += (
        [Key("c1", "as the paper states it", shape="ring")]
        if any(stated is not None for _, _, stated in rows)
        else []
    )
    says = "Images that no model was trained on, unless a mark of leakage says otherwise."
    return Drawing("models", "Accuracy of each model", width, height, marks, says, key)


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str], unit: str) -> Drawing:
    """The confusion matrix for a paper; rows are the truth."""
    left, top, cell = 24 + _LETTER * max(map(len, classes)), 40.0, (92.0, 46.0)
    marks: list[Mark] = []
    for row, (name, line) in enumerate(zip(classes, counts, strict=True)):
        y = top + row * cell[1]
        marks.append(Label(left - 10, y + cell[1] / 2 + 4, name, "ink", "end"))
        marks.append(Label(left + (row + 0.5) * cell[0], top - 10, name, "ink", "middle"))
        for column, count in enumerate(line):
            share = count / sum(line) if sum(line) else 0.0
            x = left + column * cell[0]
            shade = "c0" if row == column else "c1"
            marks.append(Box(x + 1, y + 1, cell[0] - 2, cell[1] - 2, "panel"))
            marks.append(Box(x + 1, y + 1, cell[0] - 2, cell[1] - 2, shade, 0.55 * share))
            marks.append(Label(x + cell[0] / 2, y + 21, str(count), "ink", "middle", 14, bold=True))
            if sum(line):
                marks.append(Label(x + cell[0] / 2, y + 37, f"{100 * share:.1f} %", "ink", "middle", 11))
    width, height = left + len(classes) * cell[0] + 8, top + len(classes) * cell[1] + 24
    marks.append(Label(left, height - 6, f"rows: true class; columns: named class; {unit}"))
    return Drawing(f"confusion_{unit.split()[0]}", "Confusion matrix", width, height, marks)
