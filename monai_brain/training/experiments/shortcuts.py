"""A classifier that sees no anatomy: logistic regression on grey levels, sizes and sharpness.

Where it does as well as a network, the network may have learned the same: which scanner, site or
collection an image comes from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from monai_brain.data import datalist as datalists
from monai_brain.data import nuisance
from monai_brain.data.formats import read_item
from monai_brain.data.schema import called
from monai_brain.evaluation.predictions import Predictions
from monai_brain.inference.rows import predictions
from monai_brain.transforms.grey import ToGrey255

NAME = "shortcut"
FEATURES = (
    "mean", "standard_deviation", *(f"percentile_{share}" for share in (1, 5, 25, 50, 75, 95, 99)),
    "height", "width", "zero_share", "high_frequency_energy",
)  # fmt: skip
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_SMALLEST = 1e-12


def features(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The features of an image (H, W) on 0..255, in the order of FEATURES."""
    values = np.asarray(image, dtype=np.float64)
    blurred = ndimage.uniform_filter(values, 3)
    energy = float(((values - blurred) ** 2).mean() / max(float(values.var()), _SMALLEST))
    return np.array(
        [
            values.mean(),
            values.std(),
            *np.percentile(values, _PERCENTILES),
            *values.shape,
            float((values == 0).mean()),
            energy,
        ]
    )


def predict(datalist: str | os.PathLike[str], fold: int, labels: tuple[str, ...]) -> Predictions:
    """What the regression, fitted on the training part of a fold, says of the test part.

    The classes are fitted alone that the training part shows; another one's probability is 0.
    """
    train, test = (datalists.part(datalist, fold, side, labels) for side in ("train", "test"))
    found = _features_of(datalist, [*train, *test])
    model = nuisance.regression()
    known = np.array([item["label"] for item in train])
    scores: npt.NDArray[np.float64] = np.full((len(test), len(labels)), -np.inf)
    shown = np.unique(known)
    if len(shown) > 1:
        model.fit(found[: len(train)], known)
        scores[:, shown] = model.predict_log_proba(found[len(train) :])
    else:
        scores[:, shown] = 0.0
    scores = np.maximum(scores, np.log(_SMALLEST))
    items = [{**item, "split": "test", "fold": fold, "case": called(item)} for item in test]
    return predictions(items, scores, labels, model=NAME)


def _features_of(
    datalist: str | os.PathLike[str], items: Sequence[Mapping[str, Any]]
) -> npt.NDArray[np.float64]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return np.stack(list(pool.map(lambda item: _of_file(item["image"], item.get("frame")), items)))


@lru_cache(maxsize=100_000)
def _of_file(path: str, frame: Any) -> npt.NDArray[np.float64]:
    # Every fold asks for nearly all images again; the figures of one are small, the image is not.
    grey = ToGrey255()(np.asarray(read_item({"image": path, "frame": frame}))[None])
    return features(np.asarray(grey)[0])
