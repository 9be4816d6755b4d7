"""Whether two classifiers differ: exact McNemar, paired bootstrap over groups, DeLong; Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from monai_brain.errors import DataError
from monai_brain.evaluation.intervals import DRAWS, LEVEL, bca, leaving_out, resamples
from monai_brain.evaluation.metrics import OVERALL, RANKING, Sample, measure
from monai_brain.evaluation.prediction_columns import FloatArray, IntArray


@dataclass(frozen=True)
class McNemar:
    """Exact McNemar's test: cases that only the first has right, cases that only the second has, and p."""

    only_first: int
    only_second: int
    p: float

    def as_json(self) -> dict[str, Any]:
        """The test as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """A figure of the first minus that of the second, with interval and two-sided p; NaN if not defined."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float

    def as_json(self) -> dict[str, float | None]:
        """The difference as a JSON object, null for what is not defined."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def mcnemar(first_right: npt.ArrayLike, second_right: npt.ArrayLike) -> McNemar:
    """The exact test on the cases (N,) that one of two classifiers has right and the other has not.

    It takes cases as independent: give one case a patient, or read the paired bootstrap instead.
    """
    first, second = np.asarray(first_right, dtype=np.bool_), np.asarray(second_right, dtype=np.bool_)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    both = only_first + only_second
    p = min(1.0, 2 * float(stats.binom.cdf(min(only_first, only_second), both, 0.5)))
    return McNemar(only_first, only_second, p)


def paired_bootstrap(
    first: Sample,
    second: Sample,
    names: Sequence[str] = OVERALL,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Difference]:
    """The differences of figures between two classifiers on the same cases, by resampling groups.

    Both are measured on the same draws, so that what makes a draw easy for both cancels. p is twice the
    lesser share of draws on either side of no difference, each share counted with one draw more.

    Raises:
        DataError: The samples are not of the same cases.
    """
    if not (np.array_equal(first.label, second.label) and np.array_equal(first.group, second.group)):
        raise DataError("The two samples differ in labels or groups. Give the same cases in the same order.")
    ranking = bool(set(names) & set(RANKING))
    generator = np.random.default_rng(seed)
    drawn: list[tuple[dict[str, FloatArray], dict[str, FloatArray]]] = []
    without: list[tuple[dict[str, FloatArray], dict[str, FloatArray]]] = []
    for found, blocks in (
        (drawn, resamples(first.groups, draws, generator)),
        (without, leaving_out(first.groups, generator)),
    ):
        for counts in blocks:
            found.append((measure(first, counts, ranking=ranking), measure(second, counts, ranking=ranking)))
    values = [measure(one, ranking=ranking) for one in (first, second)]
    differences = {}
    for name in names:
        one, other = float(values[0][name][0]), float(values[1][name][0])
        moved, left = (np.concatenate([a[name] - b[name] for a, b in found]) for found in (drawn, without))
        differences[name] = _difference(one, other, moved, left, first.groups, level)
    return differences


def delong(
    positive: npt.NDArray[np.bool_],
    first: FloatArray,
    second: FloatArray,
    groups: IntArray | None = None,
    level: float = LEVEL,
) -> Difference:
    """The difference of two AUROCs of the same cases (DeLong, DeLong and Clarke-Pearson 1988).

    With groups (N,), indices from 0, the variance is that of clustered cases (Obuchowski 1997).
    """
    if positive.all() or not positive.any():
        return Difference(*[float("nan")] * 6)
    if groups is None:
        groups = np.arange(len(positive))
    placed = [_placements(positive, score) for score in (first, second)]
    one, other = float(placed[0][0].mean()), float(placed[1][0].mean())
    variance = _clustered_variance(
        placed[0][0] - placed[1][0], placed[0][1] - placed[1][1], groups[positive], groups[~positive]
    )
    difference, error = one - other, float(np.sqrt(variance))
    if error > 0:
        p = 2 * float(stats.norm.sf(abs(difference) / error))
    else:
        p = 1.0 if difference == 0 else float("nan")
    reach = float(stats.norm.ppf((1 + level) / 2)) * error
    return Difference(one, other, difference, difference - reach, difference + reach, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; NaN stays NaN and is not counted."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    order = [index for index in np.argsort(p, kind="stable") if np.isfinite(p[index])]
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[index]))
        adjusted[index] = highest
    return [float(value) for value in adjusted]


def _difference(
    first: float, second: float, drawn: FloatArray, without: FloatArray, groups: int, level: float
) -> Difference:
    difference, nan = first - second, float("nan")
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(difference) or len(drawn) == 0:
        return Difference(first, second, difference, nan, nan, nan)
    if np.ptp(drawn) == 0:
        p = 1.0 if difference == 0 else nan
        return Difference(first, second, difference, nan, nan, p)
    low, high = bca(difference, drawn, without, groups, level)
    sides = [(np.sum(side) + 1) / (len(drawn) + 1) for side in (drawn <= 0, drawn >= 0)]
    return Difference(first, second, difference, low, high, float(min(1.0, 2 * min(sides))))


def _placements(positive: npt.NDArray[np.bool_], score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each positive the share of negatives below it, for each negative that of positives above it."""
    of_positives, of_negatives = score[positive], score[~positive]
    ranks = stats.rankdata(score)
    above = (ranks[positive] - stats.rankdata(of_positives)) / len(of_negatives)
    below = 1 - (ranks[~positive] - stats.rankdata(of_negatives)) / len(of_positives)
    return above, below


def _clustered_variance(
    of_positives: FloatArray, of_negatives: FloatArray, groups: IntArray, other_groups: IntArray
) -> float:
    """Obuchowski's variance of the mean placement; DeLong's where every case is its own group."""
    count = int(max(groups.max(), other_groups.max())) + 1
    centre = of_positives.mean()
    sums = [
        np.bincount(of, weights=values - centre, minlength=count)
        for of, values in ((groups, of_positives), (other_groups, of_negatives))
    ]
    sizes = len(of_positives), len(of_negatives)
    total = 0.0
    for of, found, size in zip((groups, other_groups), sums, sizes, strict=True):
        held = len(np.unique(of))
        total += held / max(held - 1, 1) * float((found**2).sum()) / size**2
    everyone = len(np.union1d(groups, other_groups))
    crossed = everyone / max(everyone - 1, 1) * float((sums[0] * sums[1]).sum())
    return max(total + 2 * crossed / (sizes[0] * sizes[1]), 0.0)
