"""One meaning for each grey value: histograms brought onto landmarks that were learned from many images.

After Nyul, Udupa and Zhang (IEEE Trans. Med. Imaging 19(2), 2000; DOI 10.1109/42.836373): the landmarks
are percentiles of the foreground, averaged over the training images on one common scale.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from monai.config import NdarrayOrTensor
from monai.transforms.transform import Transform
from monai.utils import TransformBackends

from monai_brain.errors import ConfigurationError, DataError, MonaiBrainError
from monai_brain.files import read_json
from monai_brain.transforms.foreground import check, foreground
from monai_brain.transforms.per_key import PerKey, as_array, as_kind

PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
SCALE = (0.0, 255.0)
Landmarks = dict[str, Any]


def learned(
    images: Iterable[NdarrayOrTensor],
    percentiles: Sequence[float] = PERCENTILES,
    above: float | str = "otsu",
) -> Landmarks:
    """The landmarks of many images: where each percentile of the foreground lies, on the mean, in 0..255.

    Images whose foreground has one value only, or none, are passed over and counted.

    Args:
        images: Training images and none other, each of any shape.
        percentiles: At least two, rising; the first becomes 0, the last 255.
        above: What is foreground, see `foreground`.

    Raises:
        DataError: No image has contrast.
    """
    places = _checked(percentiles)
    check(above)
    total, count, flat = np.zeros(len(places)), 0, 0
    for image in images:
        own = _own(as_array(image).astype(np.float64), places, above)
        if own is None:
            flat += 1
            continue
        low, high = SCALE
        total += low + (own - own[0]) / (own[-1] - own[0]) * (high - low)
        count += 1
    if not count:
        raise DataError(f"Landmarks cannot be learned: none of {flat} images has a foreground with contrast.")
    means = [round(float(value), 4) for value in total / count]
    return {
        "schema_version": 1,
        "percentiles": [float(place) for place in places],
        "landmarks": means,
        "above": above,
        "images": count,
        "without_contrast": flat,
    }


class LandmarkHistogram(Transform):
    """An image whose percentiles lie where those of the training images lie on the mean, on 0..255; float32.

    Between the landmarks the grey values move in straight lines, beyond them they are cut off at 0 and
    255. An image whose foreground has no contrast stays as it is.

    Args:
        landmarks: What `learned` gave: as a dict, which keeps a recipe in one piece, or the path of a
            JSON file.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  MONAI's attribute

    def __init__(self, landmarks: Mapping[str, Any] | str | os.PathLike[str]) -> None:
        known = dict(landmarks) if isinstance(landmarks, Mapping) else _read(Path(landmarks))
        try:
            self.percentiles = _checked(known["percentiles"])
            self.landmarks = np.array(known["landmarks"], np.float64)
            self.above: float | str = known.get("above", "otsu")
            check(self.above)
            rising = bool((np.diff(self.landmarks) >= 0).all() and self.landmarks[0] < self.landmarks[-1])
        except MonaiBrainError:
            raise
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ConfigurationError(
                f"No landmarks ({type(error).__name__}: {error}). Learn some: monai-brain data landmarks"
            ) from error
        if self.landmarks.shape != self.percentiles.shape or not rising:
            raise ConfigurationError("landmarks must rise, and be as many as percentiles.")

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """The image, of the kind it came in; one histogram for all channels."""
        values = as_array(img).astype(np.float64)
        own = _own(values, self.percentiles, self.above)
        if own is None:
            return as_kind(values, img)
        # Where percentiles coincide, one grey value would have to go to two places: it goes midway.
        starts, place = np.unique(own, return_inverse=True)
        ends = np.bincount(place, self.landmarks) / np.bincount(place)
        moved = np.interp(values, starts, ends)
        for beyond, first, second in ((values < starts[0], 0, 1), (values > starts[-1], -1, -2)):
            slope = (ends[second] - ends[first]) / (starts[second] - starts[first])
            moved[beyond] = ends[first] + (values[beyond] - starts[first]) * slope
        return as_kind(np.nan_to_num(moved).clip(*SCALE), img)


class LandmarkHistogramd(PerKey):
    """`LandmarkHistogram` for the images under `keys` of a dict."""

    kind: ClassVar[type] = LandmarkHistogram


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} holds no landmarks. Learn some: monai-brain data landmarks")
    return content


def _checked(percentiles: Sequence[float]) -> np.ndarray:
    places = np.array(percentiles, np.float64)
    if places.ndim != 1 or places.size < 2 or not (np.diff(places) > 0).all():
        raise ConfigurationError(f"percentiles must be at least two and rise, got {list(percentiles)}.")
    if places[0] < 0 or places[-1] > 100:
        raise ConfigurationError(f"percentiles must lie from 0 to 100, got {list(percentiles)}.")
    return places


def _own(values: np.ndarray, percentiles: np.ndarray, above: float | str) -> np.ndarray | None:
    inside = values[foreground(values, above)]
    if not inside.size:
        return None
    own = np.percentile(inside, percentiles)
    return own if own[-1] > own[0] else None
