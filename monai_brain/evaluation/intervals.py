"""Intervals of figures: how far each would move with other patients.

Slices of one patient resemble each other, so whole groups are drawn, not slices. From the draws the interval
is taken bias-corrected and accelerated (BCa; Efron 1987), its quantiles widened from the normal to Student's
t with groups - 1 degrees of freedom (Hesterberg 2015), since the plain percentile interval is too short for
few groups. Where no groups are known, proportions get Wilson's interval and all else a bootstrap of cases,
and both say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from monai_brain.evaluation.metrics import Sample, measure
from monai_brain.evaluation.prediction_columns import FloatArray

DRAWS = 2000
LEVEL = 0.95
FEW_GROUPS = 100

GROUPS = "BCa bootstrap of groups"
CASES = "BCa bootstrap of cases, taken as independent"
WILSON = "Wilson, cases taken as independent"
WILSON_GROUPS = "Wilson, one observation a group, since no resample differs"

_JACKKNIFE_BLOCKS = 200
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Figure:
    """A value with its interval; NaN where it is not defined, a method that is empty where there is none."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    method: str = ""

    def as_json(self) -> dict[str, float | str | None]:
        """The figure as JSON takes it: null for what is not defined."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        found = {name: float(number) if np.isfinite(number) else None for name, number in numbers.items()}
        return {**found, "method": self.method or None}


@dataclass(frozen=True)
class Figures:
    """Figures by name: one of all cases, or one a class in the order of the classes."""

    overall: dict[str, Figure]
    per_class: dict[str, list[Figure]]


def figures(
    sample: Sample,
    *,
    grouped: bool,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
    ranking: bool = True,
) -> Figures:
    """Every figure of the sample with its interval.

    Args:
        sample: The cases.
        grouped: Whether the sample's groups are known; else every case is its own, and that is said.
        draws: How many resamples are drawn.
        seed: The same seed gives the same intervals.
        level: The share of intervals that shall cover the truth.
        ranking: Whether AUROC and average precision are wanted too.
    """
    values = measure(sample, ranking=ranking)
    generator = np.random.default_rng(seed)
    drawn = _measure_all(sample, resamples(sample.groups, draws, generator), ranking)
    without = _measure_all(sample, leaving_out(sample.groups, generator), ranking)
    weights = _Denominators(sample)
    overall: dict[str, Figure] = {}
    per_class: dict[str, list[Figure]] = {}
    for name, value in values.items():
        found = []
        for index in range(value[0].size):
            parts = (np.ravel(value[0])[index], _column(drawn[name], index), _column(without[name], index))
            trials, groups = weights.of(name, index)
            if not grouped and trials:
                figure = Figure(float(parts[0]), *wilson(parts[0], trials, level), WILSON)
            else:
                figure = _figure(*parts, groups, level, proportion=trials is not None, grouped=grouped)
            found.append(figure)
        if value.ndim == 1:
            overall[name] = found[0]
        else:
            per_class[name] = found
    return Figures(overall, per_class)


def resamples(groups: int, draws: int, generator: np.random.Generator) -> Iterator[FloatArray]:
    """Blocks of resamples of groups, (b, G): how often each draw, with replacement, holds each group."""
    at_once = max(1, _CELLS_AT_ONCE // groups)
    for begin in range(0, draws, at_once):
        count = min(at_once, draws - begin)
        chosen = generator.integers(0, groups, (count, groups)) + groups * np.arange(count)[:, None]
        yield np.bincount(chosen.ravel(), minlength=count * groups).reshape(count, groups).astype(np.float64)


def bca(
    value: float, drawn: FloatArray, without: FloatArray, groups: int, level: float = LEVEL
) -> tuple[float, float]:
    """The bias-corrected and accelerated bootstrap interval of a value.

    Args:
        value: The figure of all cases.
        drawn: The figure of each resample, (B,).
        without: The figure with each block of groups left out, (J,).
        groups: How many groups bear on the figure; sets how far the quantiles are widened.
        level: The share of intervals that shall cover the truth.
    """
    drawn, without = drawn[np.isfinite(drawn)], without[np.isfinite(without)]
    below = np.mean(drawn < value) + np.mean(drawn == value) / 2
    edge = 1 / (len(drawn) + 1)
    bias = stats.norm.ppf(np.clip(below, edge, 1 - edge))
    pull = without.mean() - without if len(without) else np.zeros(1)
    spread = (pull**2).sum() ** 1.5
    acceleration = (pull**3).sum() / (6 * spread) if spread > 0 else 0.0
    freedom = max(groups - 1, 1)
    reach = stats.t.ppf((1 + level) / 2, freedom) * np.sqrt((freedom + 1) / freedom)
    ends = bias + np.array([-reach, reach])
    quantiles = stats.norm.cdf(bias + ends / np.maximum(1 - acceleration * ends, 1e-3))
    low, high = np.quantile(drawn, quantiles)
    return float(low), float(high)


def wilson(share: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share of independent trials."""
    z = stats.norm.ppf((1 + level) / 2)
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


class _Denominators:
    """How many cases a proportion divides by, and how many groups bear on a figure."""

    def __init__(self, sample: Sample) -> None:
        confusion = sample.confusion_by_group()
        truth, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
        self._groups = sample.groups
        self._cases = {
            "accuracy": truth.sum(axis=1, keepdims=True),
            "recall": truth,
            "precision": predicted,
            "specificity": truth.sum(axis=1, keepdims=True) - truth,
        }
        self._truth = truth

    def of(self, name: str, index: int) -> tuple[float | None, int]:
        """The cases, None if the figure is no proportion, and the groups."""
        cases = self._cases.get(name)
        if cases is not None:
            return float(cases[:, index].sum()), int((cases[:, index] > 0).sum())
        if name in ("f1", "auroc", "average_precision"):
            return None, int((self._truth[:, index] > 0).sum())
        return None, self._groups


def _figure(
    value: float,
    drawn: FloatArray,
    without: FloatArray,
    groups: int,
    level: float,
    *,
    proportion: bool,
    grouped: bool,
) -> Figure:
    defined = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or 2 * len(defined) < len(drawn) or groups == 0:
        return Figure(float(value))
    if np.ptp(defined) == 0:
        # All right, all wrong, or one group: the draws cannot tell how far the figure would move.
        if not proportion:
            return Figure(float(value))
        return Figure(float(value), *wilson(value, groups, level), WILSON_GROUPS)
    return Figure(float(value), *bca(value, drawn, without, groups, level), GROUPS if grouped else CASES)


def _measure_all(sample: Sample, blocks: Iterator[FloatArray], ranking: bool) -> dict[str, FloatArray]:
    found = [measure(sample, counts, ranking=ranking) for counts in blocks]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def leaving_out(groups: int, generator: np.random.Generator) -> Iterator[FloatArray]:
    """Blocks as of `resamples` that each lack one group, or one share of them where there are many."""
    blocks = min(groups, _JACKKNIFE_BLOCKS)
    of = generator.permutation(np.arange(groups) % blocks)
    if blocks == 1:
        yield np.ones((1, groups))
        return
    at_once = max(1, _CELLS_AT_ONCE // groups)
    for begin in range(0, blocks, at_once):
        numbers = np.arange(begin, min(begin + at_once, blocks))
        yield (of[None, :] != numbers[:, None]).astype(np.float64)


def _column(values: FloatArray, index: int) -> npt.NDArray[np.float64]:
    return values if values.ndim == 1 else values[:, index]
