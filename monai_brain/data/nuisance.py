"""A control: what a few low-level features alone can tell of the class. It ought to be nothing.

A data set in which file size, sharpness or the share of padding gives the class away rewards a network
that never looks at the image. So a plain classifier is given just these features, on the same sides of
the same split, and its accuracy stands beside the network's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from monai_brain.data import datalist
from monai_brain.data.datalist import Source
from monai_brain.data.formats import read_item
from monai_brain.data.schema import numbered
from monai_brain.errors import ConfigurationError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

LIMIT = 0.60
_BITS = {"uint8": 8, "int8": 8, "uint16": 16, "int16": 16}
_RIM = 0.04  # of the image's side: this near to an edge of the body, sharpness is the edge's own
_FINE = 1.0  # pixels; what a Gaussian of this width takes away is fine structure

# (path, image in its stored type) -> one number
Feature = Callable[[Path, np.ndarray], float]


def fine_structure(path: Path, image: np.ndarray) -> float:
    """The log of the share of fine structure in the variance inside the body, away from its edges."""
    grey = image.astype(np.float32)
    body = (grey > 0).astype(np.uint8)
    reach = max(1, round(_RIM * max(image.shape)))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    body = cv2.morphologyEx(body, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    inner = cv2.erode(body, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    if inner.sum() < 16:
        inner = body > 0
    if inner.sum() < 2:
        return 0.0
    high = (grey - cv2.GaussianBlur(grey, (0, 0), _FINE))[inner]
    return float(np.log((high.var() + 1e-3) / (grey[inner].var() + 1.0)))


def zero_share(path: Path, image: np.ndarray) -> float:
    """The share of pixels that are exactly 0: padding, or ground that was blackened."""
    return float((image == 0).mean())


NUISANCES: Mapping[str, Feature] = {
    "height": lambda path, image: float(image.shape[0]),
    "width": lambda path, image: float(image.shape[1]),
    "file_bytes": lambda path, image: float(np.log(path.stat().st_size)),
    "bit_depth": lambda path, image: float(_BITS.get(str(image.dtype), 32)),
    "fine_structure": fine_structure,
    "zero_share": zero_share,
}


def table(
    items: Sequence[Mapping[str, Any]],
    features: Mapping[str, Feature] = NUISANCES,
    workers: int | None = None,
) -> np.ndarray:
    """The features of each item's image, (items, features)."""

    def row(item: Mapping[str, Any]) -> list[float]:
        path, image = Path(item["image"]), read_item(item)
        return [feature(path, image) for feature in features.values()]

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return np.array(list(pool.map(row, items)), dtype=np.float64).reshape(len(items), len(features))


def regression() -> Pipeline:
    """The classifier of every control: a logistic regression on standardised features, not yet fitted."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))


def control(
    source: Source,
    fold: int = 0,
    features: Mapping[str, Feature] = NUISANCES,
    workers: int | None = None,
) -> dict[str, Any]:
    """How well a logistic regression on the features alone tells the classes of the test part apart.

    It is fitted on all that is not test, so with a split by patient no patient is on both sides.

    Args:
        source: A datalist with folds.
        fold: Which fold's test part is judged.
        features: What the classifier is given; `NUISANCES` unless told otherwise.
        workers: How many images are read at a time.

    Returns:
        "accuracy" on the test part, "share_of_largest_class" there, "train" and "test" counts,
        "features", and each one's "weights": the coefficients for standardised features, of the last
        class where there are two, their largest size where there are more.

    Raises:
        ConfigurationError: A side lacks one of the classes, so there is nothing to learn or to tell.
    """
    test = datalist.part(source, fold, "test")
    used = {_name(item) for item in test}
    everything = datalist.part(source, None, "test")
    train = [item for item in everything if _name(item) not in used]
    names = sorted({item["class_name"] for item in everything})
    for side, part in (("training", train), ("test", test)):
        missing = [name for name in names if name not in {item["class_name"] for item in part}]
        if missing or len(names) < 2:
            raise ConfigurationError(
                f"The {side} part of fold {fold} shows no {', '.join(missing) or 'second class'}: "
                "a control needs every class on both sides. Take more images or another split."
            )
    model = regression()
    model.fit(table(train, features, workers), [item["class_name"] for item in train])
    truth = np.array([item["class_name"] for item in test])
    found = model.predict(table(test, features, workers))
    weights = np.abs(model[-1].coef_).max(axis=0) if len(names) > 2 else model[-1].coef_[0]
    return {
        "accuracy": round(float((found == truth).mean()), 4),
        "share_of_largest_class": round(max(float((truth == name).mean()) for name in names), 4),
        "train": len(train),
        "test": len(test),
        "features": list(features),
        "weights": [round(float(weight), 4) for weight in weights],
    }


def _name(item: Mapping[str, Any]) -> str:
    return numbered(os.path.normpath(item["image"]), item.get("frame"))
