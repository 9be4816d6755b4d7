"""What of an image is tissue and what is ground, by a grey value between the two."""

from __future__ import annotations

import numpy as np

from monai_brain.errors import ConfigurationError

_BINS = 256
RULES = ("otsu", "mean")


def foreground(image: np.ndarray, above: float | str = "otsu") -> np.ndarray:
    """The pixels that are brighter than `above`, as a boolean array of the image's shape.

    Args:
        image: Any real array; what is not finite is never foreground.
        above: A grey value; "otsu" for the one that parts the histogram best; "mean" for the mean.
    """
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape, bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(finite & (image > border(image[finite], above)))


def border(values: np.ndarray, above: float | str) -> float:
    """The grey value that `above` stands for, among these finite values."""
    check(above)
    if above == "mean":
        return float(values.mean(dtype=np.float64))
    return _otsu(values) if above == "otsu" else float(above)


def check(above: float | str) -> None:
    """Refuse what is neither a number nor a rule.

    Raises:
        ConfigurationError: It is neither.
    """
    known = above in RULES if isinstance(above, str) else np.isfinite(above)
    if not known:
        raise ConfigurationError(f"above is {above!r}. Expected a grey value, {' or '.join(RULES)}.")


def _otsu(values: np.ndarray) -> float:
    """The grey value after Otsu (1979): between it and the rest lies the most variance."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    counts, edges = np.histogram(values, _BINS, (low, high))
    weighed, _ = np.histogram(values, _BINS, (low, high), weights=values.astype(np.float64))
    below = np.cumsum(counts)[:-1].astype(np.float64)
    sums = np.cumsum(weighed)
    rest = values.size - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * rest * (sums[:-1] / below - (sums[-1] - sums[:-1]) / rest) ** 2
    # Equal over an empty stretch of the histogram: its middle is as far from the one as from the other.
    first = last = int(np.nanargmax(between))
    while last + 1 < len(between) and counts[last + 1] == 0:
        last += 1
    return float((edges[1 + first] + edges[1 + last]) / 2)
