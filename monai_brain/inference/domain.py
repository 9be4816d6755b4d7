"""What a model was fitted on, kept beside its weights, and the doubts about images that lie elsewhere.

Three scores, each with the limit that all but a stated share of the fitted images keep:
confidence (the greatest probability), energy (the logarithm of the summed exponentials of the logits;
Liu et al. 2020, arXiv 2010.03759) and distance (Mahalanobis, of the pooled features of one layer from
the mean of the training images; Lee et al. 2018, arXiv 1807.03888, with one mean for all classes).
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import logsumexp, softmax

from monai_brain.errors import DataError, IntegrityError, UnknownNameError
from monai_brain.files import whole

NAME = "domain.npz"
SHARE = 0.01  # of the fitted images that each limit gives up
_LEAST_IMAGES = 20
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Domain:
    """The limits of one set of weights.

    Attributes:
        layer: The layer whose pooled output the distance is measured in.
        mean: (F,) of the training images.
        precision: (F, F), the inverse of their covariance.
        least_confidence: Below it the model abstains; 0 lets all pass.
        least_energy: Below it the image lies outside.
        greatest_distance: Above it the image lies outside.
        weights_sha256: The weights that were fitted.
        fitted_on: How many images.
        share: What share of them each limit gives up.
    """

    layer: str
    mean: Floats
    precision: Floats
    least_confidence: float
    least_energy: float
    greatest_distance: float
    weights_sha256: str
    fitted_on: int
    share: float = SHARE

    @classmethod
    def beside(cls, weights: Path, sha256: str) -> Domain | None:
        """The domain kept beside a file of weights; None where there is none, or it is of other weights.

        Raises:
            IntegrityError: The file is damaged.
        """
        path = weights.parent / NAME
        if not path.is_file():
            return None
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
                facts = json.loads(str(content["facts"]))
                domain = cls(mean=content["mean"], precision=content["precision"], **facts)
        except Exception as error:  # a damaged archive raises many kinds
            raise IntegrityError(
                f"{path} cannot be read ({type(error).__name__}). Fit it again with `monai-brain calibrate`."
            ) from error
        return domain if domain.weights_sha256 == sha256 else None

    def save(self, folder: Path) -> Path:
        """Write domain.npz into the folder of the weights."""
        facts = {name: value for name, value in vars(self).items() if name not in ("mean", "precision")}
        stream = io.BytesIO()
        np.savez(stream, mean=self.mean, precision=self.precision, facts=np.array(json.dumps(facts)))
        with whole(folder / NAME, "wb") as file:
            file.write(stream.getvalue())
        return folder / NAME

    def doubts(self, logits: npt.ArrayLike, features: npt.ArrayLike) -> list[str]:
        """For each row why the model should abstain, or "" where nothing speaks against it."""
        scores = np.asarray(logits, np.float64)
        if not np.isfinite(scores).all():
            return [""] * len(scores)  # told as a failure elsewhere
        confidence, energy = softmax(scores, axis=1).max(axis=1), logsumexp(scores, axis=1)
        distance = distances(np.asarray(features, np.float64), self.mean, self.precision)
        found = []
        for sure, strength, far in zip(confidence, energy, distance, strict=True):
            if far > self.greatest_distance:
                found.append(
                    f"unlike the training images: distance {far:.3g}, limit {self.greatest_distance:.3g}"
                )
            elif strength < self.least_energy:
                found.append(
                    f"unlike the training images: energy {strength:.3g}, limit {self.least_energy:.3g}"
                )
            elif sure < self.least_confidence:
                found.append(f"not sure: confidence {sure:.3f}, limit {self.least_confidence:.3f}")
            else:
                found.append("")
        return found


def fit(
    logits: npt.ArrayLike,
    features: npt.ArrayLike,
    held_out: npt.ArrayLike,
    *,
    layer: str,
    weights_sha256: str,
    share: float = SHARE,
    least_confidence: float | None = None,
) -> Domain:
    """The domain of the images whose logits (N, C) and features (N, F) these are.

    Args:
        logits: What the network gave.
        features: The pooled output of the layer.
        held_out: (N,) true for images that were not trained on: the limits are theirs, the mean the others'.
        layer: The layer's name.
        weights_sha256: Of the weights.
        share: What share of the held-out images each limit gives up.
        least_confidence: The least confidence, instead of the one that gives up `share`.

    Raises:
        DataError: There are too few images.
    """
    from sklearn.covariance import LedoitWolf

    scores, points = np.asarray(logits, np.float64), np.asarray(features, np.float64)
    judged = np.asarray(held_out, bool)
    if judged.sum() < _LEAST_IMAGES or (~judged).sum() < _LEAST_IMAGES:
        raise DataError(
            f"{(~judged).sum()} training and {judged.sum()} validation images; at least {_LEAST_IMAGES} "
            "of each are needed to fit limits."
        )
    shape = LedoitWolf().fit(points[~judged])
    far = distances(points[judged], shape.location_, shape.precision_)
    return Domain(
        layer=layer,
        mean=np.asarray(shape.location_, np.float64),
        precision=np.asarray(shape.precision_, np.float64),
        least_confidence=float(np.quantile(softmax(scores[judged], axis=1).max(axis=1), share))
        if least_confidence is None
        else float(least_confidence),
        least_energy=float(np.quantile(logsumexp(scores[judged], axis=1), share)),
        greatest_distance=float(np.quantile(far, 1 - share)),
        weights_sha256=weights_sha256,
        fitted_on=len(scores),
        share=float(share),
    )


def distances(points: Floats, mean: Floats, precision: Floats) -> Floats:
    """The Mahalanobis distance of each row of `points` from the mean."""
    away = points - mean
    squared: Floats = np.einsum("nf,fg,ng->n", away, precision, away)
    return np.sqrt(np.clip(squared, 0, None))


@dataclass
class Tap:
    """The pooled output (N, F) of a layer for the batch that the network saw last."""

    last: Floats


@contextlib.contextmanager
def watched(network: torch.nn.Module, layer: str) -> Iterator[Tap]:
    """Look at the output of a layer while the block runs.

    Raises:
        UnknownNameError: The network has no such layer.
    """
    modules = dict(network.named_modules())
    if layer not in modules:
        raise UnknownNameError("layer", layer, [name for name in modules if name])
    tap = Tap(np.zeros((0, 0)))

    def keep(module: torch.nn.Module, given: Any, output: torch.Tensor) -> None:
        pooled = output.float().flatten(2).mean(2) if output.ndim > 2 else output.float()
        tap.last = pooled.detach().cpu().numpy().astype(np.float64)

    handle = modules[layer].register_forward_hook(keep)
    try:
        yield tap
    finally:
        handle.remove()
