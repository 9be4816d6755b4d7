"""A drawing as PNG, without a browser or a plotting library."""

from __future__ import annotations

import io
import itertools
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from monai_brain.reporting.drawing import PALETTE, Box, Dot, Drawing, Label, Line, framed

SCALE = 3  # pixels for each unit: about 300 dots an inch at the width of a column
_SMOOTH = 2  # drawn larger by this, then made smaller
_TOP, _BOTTOM = 26, 22
# Signs that Pillow's own font lacks.
_WRITTEN = str.maketrans({"\u2212": "-", "\u2013": "-", "\u00a0": " "})


def png(drawing: Drawing) -> bytes:
    """The drawing with its title and legend, on white."""
    factor = SCALE * _SMOOTH
    height = drawing.height + _TOP + (_BOTTOM if drawing.key else 0)
    size = (round(drawing.width * factor), round(height * factor))
    canvas = Image.new("RGB", size, PALETTE["paper"])
    pen = _Pen(canvas, factor)
    for mark in (*framed(drawing), *drawing.marks):
        pen.draw(mark)
    small = canvas.resize((size[0] // _SMOOTH, size[1] // _SMOOTH), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return stream.getvalue()


class _Pen:
    def __init__(self, canvas: Image.Image, factor: int) -> None:
        self.canvas, self.factor = canvas, factor
        self.pen = ImageDraw.Draw(canvas)

    def at(self, x: float, y: float) -> tuple[float, float]:
        return x * self.factor, (y + _TOP) * self.factor

    def draw(self, mark: Line | Dot | Box | Label) -> None:
        if isinstance(mark, Line):
            self.line(mark)
        elif isinstance(mark, Dot):
            self.dot(mark)
        elif isinstance(mark, Box):
            (left, top), size = self.at(mark.x, mark.y), (mark.width * self.factor, mark.height * self.factor)
            colour = _mixed(mark.colour, mark.opacity)
            self.pen.rectangle((left, top, left + size[0], top + size[1]), fill=colour)
        else:
            self.label(mark)

    def line(self, mark: Line) -> None:
        width = max(1, round(mark.width * self.factor))
        places = [self.at(x, y) for x, y in mark.points]
        if mark.dash is None:
            self.pen.line(places, PALETTE[mark.colour], width, joint="curve")
            return
        for (x0, y0), (x1, y1) in itertools.pairwise(places):
            length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-9)
            done = 0.0
            while done < length:
                ends = [min(step / length, 1) for step in (done, done + mark.dash[0] * self.factor)]
                part = [(x0 + (x1 - x0) * end, y0 + (y1 - y0) * end) for end in ends]
                self.pen.line(part, PALETTE[mark.colour], width)
                done += sum(mark.dash) * self.factor

    def dot(self, mark: Dot) -> None:
        (x, y), radius = self.at(mark.x, mark.y), mark.radius * self.factor
        box = (x - radius, y - radius, x + radius, y + radius)
        if mark.hollow:
            self.pen.ellipse(box, outline=PALETTE[mark.colour], width=2 * self.factor)
        else:
            self.pen.ellipse(box, fill=_mixed(mark.colour, mark.opacity))

    def label(self, mark: Label) -> None:
        text = mark.text.translate(_WRITTEN)
        font: Any = ImageFont.load_default(mark.size * self.factor)
        x, y = self.at(mark.x, mark.y)
        bold = self.factor * 0.25 if mark.bold else 0
        if not mark.upright:
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor]
            colour = PALETTE[mark.colour]
            self.pen.text((x, y), text, colour, font, anchor, stroke_width=bold, stroke_fill=colour)
            return
        width, height = round(font.getlength(text)) + 4, round(mark.size * self.factor * 1.4)
        strip = Image.new("L", (width, height), 0)
        ImageDraw.Draw(strip).text((2, mark.size * self.factor), text, 255, font, "ls")
        turned = strip.rotate(90, expand=True)
        shift = {"start": width, "middle": width // 2, "end": 0}[mark.anchor]
        place = (round(x - mark.size * self.factor), round(y - shift))
        self.canvas.paste(PALETTE[mark.colour], (*place, place[0] + height, place[1] + width), turned)


def _mixed(colour: str, opacity: float) -> tuple[int, int, int]:
    """The colour laid over white."""
    red, green, blue = (
        round(opacity * int(PALETTE[colour][at : at + 2], 16) + (1 - opacity) * 255) for at in (1, 3, 5)
    )
    return red, green, blue
