"""The curves of a report as SVG drawn in the page's own colours: no picture file, no plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monai_brain.reporting.markup import Markup, joined, tag

WIDTH, HEIGHT = 420, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 12, 12, 44
_TICKS = 5

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One curve: its name in the legend, its points, and the class in the style sheet that colours it."""

    name: str
    points: Points
    style: str


@dataclass(frozen=True)
class _Axes:
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point stands in the picture."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        wide, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        return round(_LEFT + across * wide, 2), round(_TOP + (1 - up) * high, 2)


def reliability(curve: Sequence[dict[str, Any]]) -> Markup:
    """Accuracy against confidence: a disc for each bin, as large as the share of cases in it."""
    axes = _Axes((0, 1), (0, 1))
    bins = [one for one in curve if one["cases"]]
    total = sum(one["cases"] for one in bins)
    discs = []
    for one in bins:
        x, y = axes.place(one["confidence"], one["accuracy"])
        says = f"{one['cases']} cases: says {one['confidence']:.3f}, right {one['accuracy']:.3f}"
        radius = round(3 + 12 * math.sqrt(one["cases"] / total), 2)
        discs.append(tag("g", tag("title", says), tag("circle", cx=x, cy=y, r=radius, class_="disc")))
    lines = [
        Line("perfect", [(0, 0), (1, 1)], "even"),
        Line("model", [(one["confidence"], one["accuracy"]) for one in bins], "first"),
    ]
    title = "Reliability: how often the model is right against how sure it is"
    return _picture(title, axes, "probability of the named class", "share that is right", lines, discs)


def training(title: str, lines: Sequence[Line]) -> Markup:
    """Curves over the epochs; empty where no curve has a point."""
    points = [point for line in lines for point in line.points]
    if not points:
        return Markup("")
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(0.0, *(y for _, y in points)), max(y for _, y in points)
    top = _round_up(high) if high > 0 else 0.0 if low < 0 else 1.0
    axes = _Axes((first, max(last, first + 1)), (low, top))
    return _picture(title, axes, "epoch", title.lower(), lines, [])


def interval(value: float | None, low: float | None, high: float | None) -> Markup:
    """A figure from 0 to 1 as a dot, with its interval as a line."""
    if value is None or not 0 <= value <= 1:
        return Markup("")
    parts: list[Markup] = [tag("line", x1=0, x2=100, y1=8, y2=8, class_="track")]
    if low is not None and high is not None:
        ends = {"x1": round(100 * max(low, 0), 2), "x2": round(100 * min(high, 1), 2)}
        parts.append(tag("line", **ends, y1=8, y2=8, class_="span"))
    parts.append(tag("circle", cx=round(100 * value, 2), cy=8, r=4, class_="dot"))
    return tag("svg", *parts, viewBox="-5 0 110 16", class_="interval", aria_hidden="true")


def _picture(
    title: str, axes: _Axes, across: str, up: str, lines: Sequence[Line], marks: Sequence[Markup]
) -> Markup:
    curves = []
    for line in lines:
        places = [axes.place(x, y) for x, y in line.points]
        drawn = " ".join(f"{x},{y}" for x, y in places)
        curves.append(tag("polyline", points=drawn, class_=f"curve {line.style}"))
        if len(places) == 1:
            x, y = places[0]
            curves.append(tag("circle", cx=x, cy=y, r=3, class_=f"point {line.style}"))
    svg = tag(
        "svg",
        tag("title", title),
        _grid(axes),
        *curves,
        *marks,
        tag("text", across, x=(WIDTH + _LEFT - _RIGHT) / 2, y=HEIGHT - 6, class_="axis middle"),
        tag(
            "text", up, x=-(HEIGHT - _BOTTOM + _TOP) / 2, y=13, class_="axis middle", transform="rotate(-90)"
        ),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="plot",
    )
    keys = [tag("span", tag("i", class_=f"key {line.style}"), line.name) for line in lines]
    return tag("figure", svg, tag("figcaption", *keys), class_="chart")


def _grid(axes: _Axes) -> Markup:
    parts = []
    for step in range(_TICKS + 1):
        share = step / _TICKS
        y = axes.y[0] + share * (axes.y[1] - axes.y[0])
        left, height = axes.place(axes.x[0], y)
        right, _ = axes.place(axes.x[1], y)
        parts.append(tag("line", x1=left, x2=right, y1=height, y2=height, class_="grid"))
        parts.append(tag("text", f"{y:.3g}", x=left - 6, y=height + 4, class_="axis end"))
    for x in _steps(*axes.x):
        place, floor = axes.place(x, axes.y[0])
        parts.append(tag("text", f"{x:g}", x=place, y=floor + 16, class_="axis middle"))
    return joined(*parts)


def _steps(low: float, high: float) -> list[float]:
    """Round numbers between two ends, at most seven."""
    if high - low <= 1:
        return [round(low + (high - low) * step / _TICKS, 3) for step in range(_TICKS + 1)]
    size = next(
        digit * 10**power
        for power in range(9)
        for digit in (1, 2, 5)
        if (high - low) / (digit * 10**power) <= 6
    )
    first = math.ceil(low / size) * size
    return [first + index * size for index in range(int((high - first) // size) + 1)]


def _round_up(value: float) -> float:
    """The next number of one or two digits at or above a positive one."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        step * power for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999
    )
