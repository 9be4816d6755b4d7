"""Images that show the same picture, also mirrored or turned by quarters, found among thousands.

Every image becomes a copy of 48 x 48 pixels. Two are near duplicates where the copies' normalised
correlation, in the best of the eight flips and quarter turns, is above THRESHOLD; or where it is
above SIMILAR and their fine structure (the copy less its blur) correlates above FINE. The second
rule finds copies that were made brighter, sharper or softer before publication: of two pictures
that only resemble each other, such as two women's breasts, the fine structure differs.

Not every pair is tried. The lowest cosine frequencies of a copy change only their signs under flips
and change places in pairs under a transposition, so their absolute values, each pair in order, are
one signature for all eight views. Taking absolute values and ordering never move two vectors apart:
signatures are at most as far from each other as the copies in their best view, and a search among
signatures misses nothing that the copies would confirm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

SIDE = 48
THRESHOLD = 0.995
SIMILAR = 0.95
FINE = 0.965
_BLUR = 2.0
_FREQUENCIES = 24
_BLOCK = 1024
_SAMPLE, _FEWEST, _LEFT_OVER = 2048, 16, 1e-3
_ROWS, _COLUMNS = 512, 4096  # of products at a time: as much as a processor keeps at hand
_CONFIRMED_AT_ONCE = 2048
# Single precision: never lose a pair that lies on the threshold.
_SLACK = 1e-4
TURNS = (
    *("as it is", "turned by 90 degrees", "turned by 180 degrees", "turned by 270 degrees"),
    *("mirrored", "mirrored, turned by 90 degrees", "mirrored, turned by 180 degrees"),
    "mirrored, turned by 270 degrees",
)


@dataclass(frozen=True)
class Pair:
    """Two near duplicates, by their places in the list that was searched.

    Attributes:
        first: The smaller place.
        second: The larger place.
        correlation: Of the two copies, in the view in which it is largest.
        fine: The correlation of their fine structure in that view.
        turn: How the second must be shown to look like the first, one of TURNS.
    """

    first: int
    second: int
    correlation: float
    fine: float
    turn: str


def copy_of(image: np.ndarray) -> np.ndarray:
    """The copy of an image that is compared: 48 x 48, uint8, stretched over 0..255.

    Args:
        image: (H, W), any real type; what is not finite counts as the smallest finite value.
    """
    values = image.astype(np.float32)
    if image.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
        values = np.where(finite, values, values[finite].min() if finite.any() else 0)
    small = _shrunk(values)
    low, high = float(small.min()), float(small.max())
    if high <= low:
        return np.zeros((SIDE, SIDE), np.uint8)
    return np.rint((small - low) * (255 / (high - low))).astype(np.uint8)


def _shrunk(values: np.ndarray) -> np.ndarray:
    """What cv2.resize by INTER_AREA gives, in a seventh of its time: two products with sparse matrices."""
    rows, columns = values.shape
    if min(rows, columns) < SIDE:  # enlarging is another rule
        return np.asarray(cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.asarray((_areas(rows) @ values) @ _areas(columns).T)


@lru_cache(maxsize=64)
def _areas(size: int) -> Any:
    """(SIDE, size), sparse: which share of each new pixel every old one has along one axis."""
    from scipy.sparse import csr_array

    edges = np.arange(SIDE + 1) * (size / SIDE)
    pixels = np.arange(size)
    common = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return csr_array((np.maximum(common, 0) * (SIDE / size)).astype(np.float32))


def signatures(units: np.ndarray) -> np.ndarray:
    """(N, 576): vectors that are equal for all eight views of an image.

    Args:
        units: (N, 48, 48), each of mean 0 and length 1.
    """
    rows = _cosines()
    frequencies = np.abs(rows @ units @ rows.T)
    turned = frequencies.transpose(0, 2, 1)
    upper = np.triu(np.ones((_FREQUENCIES, _FREQUENCIES), bool))
    ordered = np.where(upper, np.maximum(frequencies, turned), np.minimum(frequencies, turned))
    return np.ascontiguousarray(ordered.reshape(len(units), -1), np.float32)


def near_duplicates(copies: Sequence[np.ndarray] | np.ndarray) -> list[Pair]:
    """Every pair of near duplicates among the copies, in order.

    Args:
        copies: What `copy_of` gave, one for each image.
    """
    if len(copies) < 2:
        return []
    stack = np.asarray(copies)
    marks = np.concatenate([signatures(_units(_floats(stack[rows]))) for rows in _blocks(len(stack), _BLOCK)])
    found = []
    for first, second in _candidates(marks, SIMILAR):
        for rows in _blocks(len(first), _CONFIRMED_AT_ONCE):
            found += _confirmed(stack, first[rows], second[rows])
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def views(copies: np.ndarray) -> Iterator[np.ndarray]:
    """The eight views of (N, H, W), in the order of TURNS."""
    for mirrored in (copies, copies[:, :, ::-1]):
        for quarter in range(4):
            yield np.rot90(mirrored, quarter, (1, 2))


def _units(copies: np.ndarray) -> np.ndarray:
    centred = copies - copies.mean((1, 2), keepdims=True)
    lengths = np.sqrt((centred**2).sum((1, 2), keepdims=True))
    return np.asarray(centred / np.maximum(lengths, 1e-9), np.float32)


def _details(copies: np.ndarray) -> np.ndarray:
    blurred = [cv2.GaussianBlur(copy, (0, 0), _BLUR, borderType=cv2.BORDER_REPLICATE) for copy in copies]
    return copies - np.stack(blurred)


def _cosines() -> np.ndarray:
    """(24, 48): the lowest rows of the orthonormal discrete cosine transform, type II."""
    frequency, place = np.arange(_FREQUENCIES)[:, None], np.arange(SIDE)[None]
    rows = np.sqrt(2 / SIDE) * np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE))
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, np.float32)


def _candidates(marks: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs whose signatures are near enough, block by block so that memory stays small.

    Every pair is tried by the few directions along which the signatures differ most, in the order of the
    first of them; only pairs that are near in these are tried by whole signatures. Leaving directions out
    never moves two vectors apart, so nothing is missed.
    """
    furthest = 2 - 2 * threshold + _SLACK
    few = marks @ _directions(marks, furthest)
    order = np.argsort(few[:, 0], kind="stable")
    few = few[order]
    squares = (few**2).sum(1)
    ends = np.searchsorted(few[:, 0], few[:, 0] + np.sqrt(furthest), side="right")
    for rows in _blocks(len(few), _ROWS):
        for start in range(rows.start, int(ends[rows.stop - 1]), _COLUMNS):
            columns = slice(start, start + _COLUMNS)
            products = few[rows] @ few[columns].T
            # |a - b|^2 < d is a.b > (|a|^2 + |b|^2 - d) / 2
            products -= (squares[rows, None] - furthest) / 2
            found = np.flatnonzero(products > squares[columns] / 2)
            first, second = np.divmod(found, products.shape[1])
            first, second = first + rows.start, second + start
            later = second > first
            one, other = order[first[later]], order[second[later]]
            for pairs in _blocks(len(one), _CONFIRMED_AT_ONCE):
                i, j = one[pairs], other[pairs]
                near = ((marks[i] - marks[j]) ** 2).sum(1) < furthest
                if near.any():
                    yield np.minimum(i, j)[near], np.maximum(i, j)[near]


def _directions(marks: np.ndarray, furthest: float) -> np.ndarray:
    """(576, n): orthonormal directions, as many as part nearly all of some of the signatures' pairs."""
    if len(marks) < _SAMPLE:  # to look for them would take longer than to try every pair by all of it
        return np.eye(marks.shape[1], dtype=np.float32)
    some = marks[np.linspace(0, len(marks) - 1, min(len(marks), _SAMPLE)).astype(int)]
    _, vectors = np.linalg.eigh(np.cov(some, rowvar=False, dtype=np.float32))
    vectors = np.ascontiguousarray(vectors[:, ::-1])
    others = np.roll(some, len(some) // 2, axis=0)
    apart = np.cumsum(((some - others) @ vectors) ** 2, axis=1)  # by the first one, two, ... directions
    parted = (apart < furthest).mean(0) < _LEFT_OVER
    fewest = int(parted.argmax()) + 1 if parted.any() else len(vectors)
    return vectors[:, : min(max(fewest, _FEWEST), len(vectors))]


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _floats(copies: np.ndarray) -> np.ndarray:
    return np.asarray(copies, np.float32)


def _confirmed(copies: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[Pair]:
    names, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    if not len(names):
        return []
    values = _floats(copies[names])
    units, details = _units(values), _units(_details(values))
    one, other = np.split(places.reshape(-1), 2)
    each = np.stack([_products(units[one], view) for view in views(units[other])])
    best = each.argmax(0)
    whole = np.minimum(each.max(0), 1)
    fine = np.zeros_like(whole)
    for turn, view in enumerate(views(details[other])):
        here = best == turn
        fine[here] = np.minimum(_products(details[one[here]], view[here]), 1)
    near = (whole > THRESHOLD) | ((whole > SIMILAR) & (fine > FINE))
    return [
        Pair(int(first[i]), int(second[i]), _rounded(whole[i]), _rounded(fine[i]), TURNS[best[i]])
        for i in np.flatnonzero(near)
    ]


def _products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.einsum("nij,nij->n", left, right)


def _rounded(number: np.floating) -> float:
    return round(float(number), 5)
