"""Figures as lists of marks: drawn once, written as SVG for the page or for itself, and as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from monai_brain.reporting.markup import Markup, tag

Anchor: TypeAlias = Literal["start", "middle", "end"]

# The page's colours in light, by name; page.css has the same names. c0 to c5 can be told apart by readers
# with any colour vision, and are dark enough to write with.
PALETTE: Mapping[str, str] = {
    "ink": "#1d2433",
    "muted": "#596273",
    "rule": "#dfe2e7",
    "panel": "#f4f5f7",
    "paper": "#ffffff",
    "c0": "#1c64a8",
    "c1": "#b04a12",
    "c2": "#24784a",
    "c3": "#85479c",
    "c4": "#806000",
    "c5": "#4c5563",
}
COLOURS = 6
FONT = "system-ui, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Line:
    """A curve through points."""

    points: Sequence[tuple[float, float]]
    colour: str = "ink"
    width: float = 2
    dash: tuple[float, float] | None = None


@dataclass(frozen=True)
class Dot:
    """A disc, or a ring where it is hollow."""

    x: float
    y: float
    radius: float
    colour: str = "ink"
    hollow: bool = False
    opacity: float = 1
    says: str = ""


@dataclass(frozen=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    opacity: float = 1


@dataclass(frozen=True)
class Label:
    """A line of text, its foot at y."""

    x: float
    y: float
    text: str
    colour: str = "muted"
    anchor: Anchor = "start"
    size: int = 12
    bold: bool = False
    upright: bool = False  # read from below


@dataclass(frozen=True)
class Key:
    """An entry of the legend under a figure: a curve, or a disc or ring where a shape is named."""

    colour: str
    words: str
    dash: tuple[float, float] | None = None
    shape: Literal["line", "dot", "ring"] = "line"


Mark: TypeAlias = Line | Dot | Box | Label


@dataclass(frozen=True)
class Drawing:
    """A figure: its file's name, its title, how it is to be read, and its marks."""

    name: str
    title: str
    width: float
    height: float
    marks: Sequence[Mark]
    caption: str = ""
    key: Sequence[Key] = field(default=())


def figure(drawing: Drawing) -> Markup:
    """The drawing in a page, in the page's own colours."""
    caption = [tag("strong", drawing.title)]
    if drawing.caption:
        caption.append(tag("span", drawing.caption, class_="says"))
    keys = [tag("span", _sample(key), key.words) for key in drawing.key]
    legend = tag("p", *keys, class_="legend") if keys else ""
    return tag("figure", tag("figcaption", *caption), svg(drawing), legend, class_="chart")


def svg(drawing: Drawing, *, alone: bool = False) -> Markup:
    """The drawing as SVG: with the page's classes for colours, or alone with its colours written out."""
    space = {"xmlns": "http://www.w3.org/2000/svg", "font_family": FONT} if alone else {}
    top = 26 if alone else 0
    bottom = 22 if alone and drawing.key else 0
    marks: list[Markup] = [tag("title", drawing.title)]
    if alone:
        size = {"width": drawing.width, "height": drawing.height + top + bottom}
        marks.append(tag("rect", x=0, y=-top, **size, fill=PALETTE["paper"]))
        marks += [_svg(mark, True) for mark in framed(drawing)]
    marks += [_svg(mark, alone) for mark in drawing.marks]
    return tag(
        "svg",
        *marks,
        viewBox=f"0 {-top} {drawing.width:g} {drawing.height + top + bottom:g}",
        role="img",
        aria_label=drawing.title,
        class_=None if alone else "plot",
        **space,
    )


def framed(drawing: Drawing) -> list[Mark]:
    """Title and legend of a drawing that stands alone."""
    marks: list[Mark] = [Label(8, -9, drawing.title, "ink", size=14, bold=True)]
    x = 8.0
    for key in drawing.key:
        y = drawing.height + 12
        marks += [*_sampled(key, x, y - 4), Label(x + 28, y, key.words, "ink")]
        x += 44 + 6.6 * len(key.words)
    return marks


def _sampled(key: Key, x: float, y: float) -> list[Mark]:
    if key.shape == "line":
        return [Line([(x, y), (x + 22, y)], key.colour, 2, key.dash)]
    return [Dot(x + 11, y, 4, key.colour, hollow=key.shape == "ring")]


def _sample(key: Key) -> Markup:
    """What an entry of the legend looks like in the figure."""
    marks = [_svg(mark, False) for mark in _sampled(key, 0, 5)]
    return tag("svg", *marks, viewBox="0 0 22 10", width=22, height=10, aria_hidden="true", class_="key")


def _svg(mark: Mark, alone: bool) -> Markup:
    def stroke(colour: str) -> dict[str, object]:
        return {"stroke": PALETTE[colour]} if alone else {"class_": f"s-{colour}"}

    def fill(colour: str) -> dict[str, object]:
        return {"fill": PALETTE[colour]} if alone else {"class_": f"f-{colour}"}

    if isinstance(mark, Line):
        drawn = " ".join(f"{x:.2f},{y:.2f}" for x, y in mark.points)
        dash = None if mark.dash is None else f"{mark.dash[0]:g} {mark.dash[1]:g}"
        more = {"stroke_width": f"{mark.width:g}", "stroke_dasharray": dash, "stroke_linejoin": "round"}
        return tag("polyline", points=drawn, fill="none", **more, **stroke(mark.colour))
    if isinstance(mark, Dot):
        place = {"cx": f"{mark.x:.2f}", "cy": f"{mark.y:.2f}", "r": f"{mark.radius:g}"}
        says = tag("title", mark.says) if mark.says else ""
        if mark.hollow:
            return tag("circle", says, **place, fill="none", stroke_width=2, **stroke(mark.colour))
        opacity = None if mark.opacity == 1 else f"{mark.opacity:g}"
        return tag("circle", says, **place, fill_opacity=opacity, **fill(mark.colour))
    if isinstance(mark, Box):
        size = {"width": f"{mark.width:.2f}", "height": f"{mark.height:.2f}"}
        opacity = None if mark.opacity == 1 else f"{mark.opacity:.4f}"
        place = {"x": f"{mark.x:.2f}", "y": f"{mark.y:.2f}"}
        return tag("rect", **place, **size, fill_opacity=opacity, **fill(mark.colour))
    return tag(
        "text",
        mark.text,
        x=f"{mark.x:.2f}",
        y=f"{mark.y:.2f}",
        text_anchor=None if mark.anchor == "start" else mark.anchor,
        font_size=mark.size,
        font_weight=600 if mark.bold else None,
        transform=f"rotate(-90 {mark.x:.2f} {mark.y:.2f})" if mark.upright else None,
        **fill(mark.colour),
    )
