"""How the outline of a breast comes to be cut: straight edges of a field that misses a part of it.

Coordinates are pixels of a mask with the chest wall on the left: x towards the nipple, y down. An edge
takes away what lies beyond it along its outward normal. What is taken away is a share of the breast that
the caller names, whatever its shape: the place of the edges follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monai_brain.errors import UnknownNameError

_TILT = 5.0  # degrees by which a patient or a film stands askew in the field
_STEPS = 40
_FLUSH = 0.6  # how often the field's edge is the image's own


@dataclass(frozen=True)
class Edge:
    """A straight edge: its outward normal in degrees from x to y, and its place along it."""

    angle: float
    place: float


@dataclass(frozen=True)
class Cut:
    """The edges of a field, and what they take.

    Attributes:
        edges: What lies beyond any of them is gone.
        loss: The share of the breast that is gone.
        flush: The sides on which the field's edge is the edge of the image too: "top" or "bottom".
        soft: Whether the edges throw a half-shadow, as a collimator near the tube does.
    """

    edges: tuple[Edge, ...]
    loss: float
    flush: frozenset[str]
    soft: bool


@dataclass(frozen=True)
class _Draft:
    """Edges before their places are known: each begins where the breast ends and moves in by its pace."""

    angles: tuple[float, ...]
    paces: tuple[float, ...] = (1.0,)
    flush: frozenset[str] = frozenset()
    soft: bool = False


def _contour(draw: np.random.Generator) -> _Draft:
    """An oblique edge takes the skin line above or below the nipple."""
    return _Draft((draw.uniform(28, 60) * draw.choice([-1.0, 1.0]),))


def _nipple(draw: np.random.Generator) -> _Draft:
    """The field is too narrow: the foremost part, the nipple in it, is missing."""
    return _Draft((draw.uniform(-_TILT, _TILT),))


def _pectoral(draw: np.random.Generator) -> _Draft:
    """An oblique edge takes the upper corner at the chest wall, where the muscle shows."""
    return _Draft((-90 - draw.uniform(25, 60),))


def _inferior(draw: np.random.Generator) -> _Draft:
    """The breast lies too low: its lower part and the fold below it are missing."""
    if draw.random() < _FLUSH:
        return _Draft((90.0,), flush=frozenset({"bottom"}))
    return _Draft((90 + draw.uniform(-_TILT, _TILT),))


def _collimator(draw: np.random.Generator) -> _Draft:
    """Blades stand too close: above, below and before the breast, with half-shadows."""
    tilt = draw.uniform(-_TILT / 2, _TILT / 2)
    front, below, above = draw.uniform(0.4, 1), draw.uniform(0.4, 1), draw.uniform(0, 0.6)
    return _Draft((tilt, 90 + tilt, -90 + tilt), (front, below, above), soft=True)


def _shifted(draw: np.random.Generator) -> _Draft:
    """The detector stands askew to the breast: two neighbouring sides are missing."""
    down = bool(draw.random() < 0.6)
    paces = (draw.uniform(0.4, 1), draw.uniform(0.4, 1))
    side = frozenset({"bottom" if down else "top"}) if draw.random() < _FLUSH else frozenset[str]()
    return _Draft((0.0, 90.0 if down else -90.0), paces, side)


CUTS: Mapping[str, Callable[[np.random.Generator], _Draft]] = {
    "contour": _contour,
    "nipple": _nipple,
    "pectoral": _pectoral,
    "inferior": _inferior,
    "collimator": _collimator,
    "shifted_detector": _shifted,
}


def cut(breast: np.ndarray, kind: str, loss: float, draw: np.random.Generator) -> Cut:
    """The edges of a kind that take a share of the breast away, to within a few pixels.

    Args:
        breast: (h, w), above 0 where the breast is.
        kind: One of `CUTS`.
        loss: The share of the breast's area that goes, between 0 and 1.
        draw: Where the edges' directions come from.

    Raises:
        UnknownNameError: No cut has that name.
    """
    if kind not in CUTS:
        raise UnknownNameError("cut", kind, CUTS)
    draft = CUTS[kind](draw)
    y, x = np.nonzero(breast)
    along = [_along(angle, x + 0.5, y + 0.5) for angle in draft.angles]
    first = [float(line.max()) for line in along]
    reach = max(float(np.ptp(line)) for line in along)

    def gone(step: float) -> float:
        beyond = np.zeros(len(x), dtype=bool)
        for line, begin, pace in zip(along, first, draft.paces, strict=True):
            beyond |= line > begin - step * pace * reach
        return float(beyond.mean())

    low, high = 0.0, 1.0 / max(draft.paces)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if gone(middle) < loss else (low, middle)
    edges = tuple(
        Edge(angle, begin - high * pace * reach)
        for angle, begin, pace in zip(draft.angles, first, draft.paces, strict=True)
    )
    return Cut(edges, gone(high), draft.flush, draft.soft)


def beyond(edges: Sequence[Edge], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far each point lies beyond the nearest-passed edge, negative inside all; -inf without edges."""
    found = np.full(np.broadcast(x, y).shape, -np.inf)
    for edge in edges:
        np.maximum(found, _along(edge.angle, x, y) - edge.place, out=found)
    return found


def _along(angle: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    turned = np.deg2rad(angle)
    return np.asarray(np.cos(turned) * x + np.sin(turned) * y)
