"""The frame of a chart: where a number stands in the picture, round steps, quiet lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from monai_brain.reporting.drawing import Label, Line, Mark

WIDTH, HEIGHT = 420.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 12.0, 42.0

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axes:
    """The numbers at the ends of both axes, and the picture's size."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = WIDTH
    height: float = HEIGHT
    right: float = _RIGHT

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point stands in the picture."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        wide, high = self.width - _LEFT - self.right, self.height - _TOP - _BOTTOM
        return round(_LEFT + across * wide, 2), round(_TOP + (1 - up) * high, 2)

    def curve(self, points: Points) -> list[tuple[float, float]]:
        """Where the points stand in the picture."""
        return [self.place(x, y) for x, y in points]

    def marks(self, across: str, up: str, *, whole: bool = False) -> list[Mark]:
        """Level lines, the axes' numbers and their names; `whole` shows whole numbers only, as of epochs."""
        found: list[Mark] = []
        for y in steps(*self.y):
            (left, height), (right, _) = self.place(self.x[0], y), self.place(self.x[1], y)
            level = abs(y - self.y[0]) < 1e-12
            found.append(Line([(left, height), (right, height)], "muted" if level else "rule", 1))
            found.append(Label(left - 7, height + 4, f"{y:.6g}", anchor="end"))
        for x in steps(*self.x):
            if whole and x != round(x):
                continue
            place, floor = self.place(x, self.y[0])
            found.append(Line([(place, floor), (place, floor + 4)], "muted", 1))
            found.append(Label(place, floor + 17, f"{x:.6g}", anchor="middle"))
        middle = (_LEFT + self.width - self.right) / 2
        found.append(Label(middle, self.height - 5, across, anchor="middle"))
        if up:
            found.append(Label(13, (_TOP + self.height - _BOTTOM) / 2, up, anchor="middle", upright=True))
        return found


def steps(low: float, high: float) -> list[float]:
    """Round numbers from one end to the other, at most seven."""
    if not high > low:
        return [low]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power >= rough * 0.999)
    first = math.ceil(low / size - 1e-9)
    count = math.floor(high / size + 1e-9) - first
    return [round((first + index) * size, 10) for index in range(count + 1)]


def round_up(value: float) -> float:
    """The next number of one or two digits at or above a positive one."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        step * power for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999
    )
