"""Explanations as pictures: the map laid over the image, and image, map and both side by side."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from monai_brain.bundles import Bundle
from monai_brain.files import whole, write_whole
from monai_brain.inference.explain import Explanation

Colours = npt.NDArray[np.uint8]  # (H, W, 3), RGB

LEAST_WIDTH = 384  # of a panel, so that the text under it can be read
STRENGTH = 0.65
_COLUMNS, _PANEL = 8, 224  # of the figure of three rows: images at most, and pixels of each
_GAP, _MARGIN, _FONT = 8, 6, 15
_INK, _PAPER = (240, 240, 240), (16, 16, 16)


def colours(heat: npt.NDArray[np.float32]) -> Colours:
    """The map in colours: dark blue for 0, over green, to dark red for 1."""
    steps = (np.clip(heat, 0, 1) * 255).round().astype(np.uint8)
    return np.asarray(cv2.applyColorMap(steps, cv2.COLORMAP_TURBO), np.uint8)[..., ::-1]


def overlay(explanation: Explanation, strength: float = STRENGTH) -> Colours:
    """The image with the map over it, in the image's size; where there is no evidence it stays grey."""
    grey = np.repeat(explanation.image[..., None], 3, axis=2).astype(np.float32)
    share = strength * np.clip(explanation.heat, 0, 1)[..., None]
    return ((1 - share) * grey + share * colours(explanation.heat)).round().astype(np.uint8)


def picture(explanation: Explanation, disclaimer: str) -> Colours:
    """The overlay, enlarged where it is small, with the disclaimer under it."""
    return _captioned([overlay(explanation)], [], disclaimer)


def figure(explanation: Explanation, disclaimer: str) -> Colours:
    """Original, map and overlay in one row, with what they show and the disclaimer under them."""
    grey = np.repeat(explanation.image[..., None], 3, axis=2)
    predicted = explanation.prediction.predicted
    says = f"predicted {predicted} ({explanation.prediction.probs[predicted]:.3f})"
    shows = f"evidence for {explanation.class_name} by {explanation.method} at {explanation.layer}"
    panels = [grey, colours(explanation.heat), overlay(explanation)]
    return _captioned(panels, [explanation.case, f"{says}, {shows}"], disclaimer)


class Rows:
    """A figure of three rows, as papers show maps: map, overlay, original; a column an image.

    It takes the first explanations of each class and keeps no more of them than it will show.
    """

    def __init__(self) -> None:
        """Begin without an image."""
        self._columns: dict[str, list[tuple[list[Colours], str]]] = {}

    def add(self, explanation: Explanation) -> None:
        """Take an explanation, if there is room for one more of its class."""
        mine = self._columns.setdefault(explanation.class_name, [])
        if len(mine) == _COLUMNS:
            return
        grey = np.repeat(explanation.image[..., None], 3, axis=2)
        panels = [colours(explanation.heat), overlay(explanation), grey]
        mine.append(([_square(panel) for panel in panels], explanation.class_name))

    def drawn(self, disclaimer: str) -> Colours | None:
        """The figure; None without an image."""
        turns = zip_longest(*self._columns.values())
        chosen = [column for turn in turns for column in turn if column is not None][:_COLUMNS]
        if not chosen:
            return None
        chosen.sort(key=lambda column: column[1])  # images of a class side by side
        gap = np.full((_PANEL, _GAP, 3), _PAPER, np.uint8)
        rows = [
            np.concatenate([part for panels, _ in chosen for part in (panels[row], gap)][:-1], axis=1)
            for row in range(3)
        ]
        between = np.full((_GAP, rows[0].shape[1], 3), _PAPER, np.uint8)
        stacked = np.concatenate([rows[0], between, rows[1], between, rows[2]])
        columns = ", ".join(name for _, name in chosen)
        says = f"From above: map, overlay, original. From the left, evidence for: {columns}"
        return _captioned([stacked], [says], disclaimer)


def write(explanations: Iterable[Explanation], bundle: Bundle, folder: str | Path) -> list[dict[str, Any]]:
    """Write overlay, figure and a line of explanations.jsonl for each; gives the lines.

    three_rows.png shows some of each class together. Names of files come from the cases, but never lead out
    of the folder.

    Raises:
        OutputError: The folder cannot be written.
    """
    place = Path(folder)
    lines, together = [], Rows()
    with whole(place / "explanations.jsonl") as stream:
        for explanation, name in _named(explanations):
            for kind, draw in (("overlay", picture), ("figure", figure)):
                _save(draw(explanation, bundle.disclaimer), place / f"{name}_{kind}.png")
            together.add(explanation)
            line = _line(explanation, name, bundle)
            stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            lines.append(line)
    drawn = together.drawn(bundle.disclaimer)
    if drawn is not None:
        _save(drawn, place / "three_rows.png")
    return lines


def _named(explanations: Iterable[Explanation]) -> Iterator[tuple[Explanation, str]]:
    taken: set[str] = set()
    for explanation in explanations:
        name = re.sub(r"[^\w.-]+", "_", explanation.case).strip("._")[:100]
        if not name or name.casefold() in taken:
            name = f"{name}_{hashlib.sha256(explanation.case.encode()).hexdigest()[:12]}".strip("_")
        taken.add(name.casefold())
        yield explanation, name


def _line(explanation: Explanation, name: str, bundle: Bundle) -> dict[str, Any]:
    row, column = np.unravel_index(int(explanation.heat.argmax()), explanation.heat.shape)
    return {
        "schema_version": 1,
        "case": explanation.case,
        "predicted": explanation.prediction.predicted,
        "probabilities": {key: float(value) for key, value in explanation.prediction.probs.items()},
        "explained": explanation.class_name,
        "method": explanation.method,
        "layer": explanation.layer,
        "peak": {"row": int(row), "column": int(column)},
        "overlay": f"{name}_overlay.png",
        "figure": f"{name}_figure.png",
        "model": explanation.prediction.model,
        "weights_sha256": explanation.prediction.weights_sha256,
        "disclaimer": bundle.disclaimer,
    }


def _square(panel: Colours) -> Colours:
    """A panel of one size for all, with its sides in their proportion."""
    height, width = panel.shape[:2]
    scale = _PANEL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(panel), size, interpolation=method)
    canvas = np.full((_PANEL, _PANEL, 3), _PAPER, np.uint8)
    top, left = (_PANEL - size[1]) // 2, (_PANEL - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def _captioned(panels: list[Colours], lines: list[str], disclaimer: str) -> Colours:
    height, width = panels[0].shape[:2]
    factor = max(1, math.ceil(LEAST_WIDTH / width))
    size = (width * factor, height * factor)
    large = [cv2.resize(panel, size, interpolation=cv2.INTER_LINEAR) for panel in panels]
    total = len(large) * size[0] + (len(large) - 1) * _GAP
    font = ImageFont.load_default(_FONT)
    wrapped = [part for line in (*lines, disclaimer) for part in _wrapped(line, total - 2 * _MARGIN, font)]
    step = _FONT + _MARGIN
    canvas = Image.new("RGB", (total, size[1] + step * len(wrapped) + _MARGIN), _PAPER)
    for index, panel in enumerate(large):
        canvas.paste(Image.fromarray(np.ascontiguousarray(panel)), (index * (size[0] + _GAP), 0))
    pen = ImageDraw.Draw(canvas)
    for index, line in enumerate(wrapped):
        pen.text((_MARGIN, size[1] + _MARGIN + index * step), line, fill=_INK, font=font)
    return np.asarray(canvas, np.uint8)


def _wrapped(line: str, width: int, font: Any) -> list[str]:
    """The line in as many as fit the width; a word that is wider than that is broken."""
    found, current = [], ""
    for word in " ".join(line.split()).split(" "):
        longer = f"{current} {word}".strip()
        if font.getlength(longer) <= width:
            current = longer
            continue
        if current:
            found.append(current)
        while font.getlength(word) > width and len(word) > 1:
            cut = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
            found.append(word[:cut])
            word = word[cut:]
        current = word
    return [*found, current]


def _save(image: Colours, path: Path) -> None:
    write_whole(path, lambda stream: Image.fromarray(image).save(stream, "PNG"))
