"""Means and rates of cases, with intervals that know which cases belong together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from monai_brain.evaluation.intervals import (
    CASES,
    DRAWS,
    GROUPS,
    WILSON,
    WILSON_GROUPS,
    Figure,
    bca,
    leaving_out,
    resamples,
    wilson,
)


def mean_of(
    values: npt.NDArray[np.float64], groups: npt.ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Figure:
    """The mean of the values (N,) with its 95 % interval; whole groups (N,) are drawn, not cases."""
    _, of = np.unique(np.asarray(groups), return_inverse=True)
    of = of.reshape(-1)
    count = int(of.max()) + 1
    sizes = np.bincount(of, minlength=count).astype(np.float64)
    sums = np.bincount(of, weights=values, minlength=count)
    value = float(np.mean(values))
    if count == 1:
        return Figure(value)
    drawn = [block @ sums / (block @ sizes) for block in resamples(count, draws, np.random.default_rng(seed))]
    without = [block @ sums / (block @ sizes) for block in leaving_out(count, np.random.default_rng(seed))]
    low, high = bca(value, np.concatenate(drawn), np.concatenate(without), count)
    return Figure(value, low, high, CASES if count == len(values) else GROUPS)


def rate(
    holds: npt.NDArray[np.bool_], groups: npt.ArrayLike | None, *, draws: int = DRAWS, seed: int = 0
) -> Figure:
    """The share of cases (N,) of which it holds, with its 95 % interval; NaN without a case.

    Args:
        holds: Of which cases it holds.
        groups: What each case belongs to; None where nothing is known of it.
        draws: Bootstrap draws.
        seed: Of the draws.
    """
    if len(holds) == 0:
        return Figure(float("nan"))
    share = float(np.mean(holds))
    if groups is None:
        return Figure(share, *wilson(share, len(holds)), WILSON)
    if share in (0.0, 1.0):  # no draw would differ
        return Figure(share, *wilson(share, len(np.unique(np.asarray(groups)))), WILSON_GROUPS)
    found = mean_of(holds.astype(np.float64), groups, draws=draws, seed=seed)
    return found if found.method else Figure(share, *wilson(share, 1), WILSON_GROUPS)
