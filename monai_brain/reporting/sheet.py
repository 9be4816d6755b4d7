"""Tables as data: built once, written as HTML, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai_brain.reporting.markup import Markup, joined, tag

_DIGITS = re.compile(r"[<\s]*[\d.,]+( \([\d.]+\))?|n/a")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_",
    "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "\u2013": "--", "\u2212": r"\ensuremath{-}", "\u2019": "'", "\u00a0": "~",
}  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval, as a cell."""

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str | None = None
    digits: int = 3

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Estimate:
        """The cell of a figure of metrics.json."""
        return cls(found.get("value"), found.get("low"), found.get("high"), found.get("method"))

    @property
    def number(self) -> str:
        """The value in digits."""
        return number(self.value, self.digits)

    @property
    def between(self) -> str:
        """The interval in digits; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        # A dash between two signs is one stroke too many.
        between = " to " if self.low < 0 else "\u2013"
        return f"{number(self.low, self.digits)}{between}{number(self.high, self.digits)}"

    def __str__(self) -> str:
        return f"{self.number} ({self.between})" if self.between else self.number


@dataclass(frozen=True)
class Table:
    """A table: its file's name, what it shows, and its cells; the first column names the rows."""

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    bars: bool = False  # whether intervals are drawn too


def number(value: float | None, digits: int = 3) -> str:
    """A number of so many decimals, with a true minus; n/a for none."""
    return "n/a" if value is None else f"{value:.{digits}f}".replace("-", "\u2212")


def plain(cell: object) -> str:
    """A cell as text."""
    if cell is None:
        return ""
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return number(cell) if isinstance(cell, float) else str(cell)


def html(table: Table) -> Markup:
    """The table as HTML, numbers aligned on their decimals."""
    numeric = [_numeric(table, column) for column in range(len(table.header))]
    start = bars_from(table) if table.bars else None
    head = [
        tag("th", name, scope="col", class_="num" if right else None)
        for name, right in zip(table.header, numeric, strict=True)
    ]
    body = [
        tag(
            "tr",
            tag("th", plain(row[0]) if not isinstance(row[0], Markup) else row[0], scope="row"),
            *(_cell(cell, right, start) for cell, right in zip(row[1:], numeric[1:], strict=True)),
        )
        for row in table.rows
    ]
    inside = tag(
        "table",
        tag("caption", table.caption) if table.caption else "",
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
    )
    return scrolling(inside, table.caption or table.name)


def scrolling(content: Markup, name: str) -> Markup:
    """What may be wider than a phone, in a part of the page that scrolls by itself and by keyboard."""
    return tag("div", content, class_="scroll", role="region", aria_label=f"Table: {name}", tabindex="0")


def interval(value: float | None, low: float | None, high: float | None, start: float = 0) -> Markup:
    """A figure from `start` to 1 as a stroke, with its interval as a band."""
    if value is None or not start <= value <= 1:
        return Markup("")

    def across(share: float) -> float:
        return round(100 * (min(max(share, start), 1) - start) / (1 - start), 2)

    parts: list[Markup] = [tag("line", x1=0, x2=100, y1=8, y2=8, class_="track")]
    if low is not None and high is not None:
        parts.append(tag("line", x1=across(low), x2=across(high), y1=8, y2=8, class_="span"))
    parts.append(tag("line", x1=across(value), x2=across(value), y1=3, y2=13, class_="stroke"))
    return tag("svg", *parts, viewBox="-5 0 110 16", class_="interval", aria_hidden="true")


def markdown(table: Table) -> str:
    """The table in Markdown."""
    lines = [f"**{table.caption}**", ""] if table.caption else []
    lines += [_bar(table.header), _bar(["---"] * len(table.header))]
    return "\n".join([*lines, *(_bar([plain(cell) for cell in row]) for row in table.rows)]) + "\n"


def latex(table: Table) -> str:
    """The table in LaTeX, for the package booktabs."""
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [
        r"\begin{table}",
        rf"\caption{{{_tex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(_tex, table.header)) + r" \\",
        r"\midrule",
        *(" & ".join(_tex(plain(cell)) for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def comma_separated(table: Table) -> str:
    """The table as CSV: numbers in full, an interval in two further columns."""
    wide = [
        any(isinstance(row[column], Estimate) for row in table.rows) for column in range(len(table.header))
    ]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    header: list[str] = []
    for name, several in zip(table.header, wide, strict=True):
        header += [name, f"{name} low", f"{name} high"] if several else [name]
    writer.writerow(header)
    for row in table.rows:
        cells: list[object] = []
        for cell, several in zip(row, wide, strict=True):
            if isinstance(cell, Estimate):
                cells += [cell.value, cell.low, cell.high]
            else:
                cells += [cell, None, None] if several else [cell]
        writer.writerow(cells)
    return stream.getvalue()


def bars_from(table: Table) -> float:
    """Where the bars begin, so that the lowest interval is seen and narrow ones have a width."""
    cells = [cell for row in table.rows for cell in row if isinstance(cell, Estimate)]
    ends = [number for cell in cells for number in (cell.value, cell.low) if number is not None]
    return min(max(0.0, math.floor(10 * min(ends, default=0.0)) / 10), 0.9)


def _cell(cell: object, right: bool, start: float | None) -> Markup:
    if isinstance(cell, Estimate):
        bars = start is not None
        bar = interval(cell.value, cell.low, cell.high, start or 0) if bars and cell.between else ""
        between = tag("small", cell.between) if cell.between else ""
        inside = tag(
            "span", tag("b", cell.number), between, bar, class_="figure barred" if bars else "figure"
        )
        return tag("td", inside, class_="num", title=cell.method)
    if isinstance(cell, Markup):
        return tag("td", cell)
    return tag("td", plain(cell), class_="num" if right else None)


def _numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows if row[column] not in (None, "")]
    return bool(cells) and column > 0 and all(map(_is_number, cells))


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float | Estimate) or bool(_DIGITS.fullmatch(str(cell)))


def _bar(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))


def together(tables: Sequence[Table]) -> Markup:
    """Several tables one after another."""
    return joined(*(html(table) for table in tables))
