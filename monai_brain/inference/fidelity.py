"""What an exported network says beside the network it was made from, on real images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data import datalist as datalists
from monai_brain.data.schema import called
from monai_brain.errors import DataError
from monai_brain.evaluation.comparison import matched
from monai_brain.evaluation.metrics import Sample
from monai_brain.evaluation.predictions import Predictions, put_together
from monai_brain.evaluation.significance import paired_bootstrap
from monai_brain.inference.inputs import find
from monai_brain.inference.onnx_formats import runner
from monai_brain.inference.predict import Predictor
from monai_brain.inference.rows import predictions

PathLike = str | os.PathLike[str]
FIGURE = "accuracy"


def fidelity(
    path: PathLike,
    predictor: Predictor,
    images: PathLike | Sequence[PathLike] | None = None,
    *,
    datalist: PathLike | None = None,
    fold: int = 0,
    draws: int = 2000,
) -> dict[str, Any]:
    """How far an ONNX file's answers are from its network's, as JSON takes it.

    With a datalist the images are the fold's test part, and the accuracy of both and the interval of their
    difference (bootstrap over groups) are told too.

    Args:
        path: a file that `export` wrote as onnx or int8.
        predictor: the network it was made from.
        images: files, folders or globs, where there is no datalist.
        datalist: labelled images in folds.
        fold: the fold whose test part is used.
        draws: of the bootstrap.

    Raises:
        DataError: No image could be read.
    """
    if datalist is not None:
        items = [
            {**item, "case": called(item)}
            for item in datalists.part(str(datalist), fold, "test", predictor.bundle.labels)
        ]
    else:
        items = [dict(item) for item in find(images or [])]
    given, wanted, failed = _both(Path(path), predictor, items)
    different = np.abs(given.probs - wanted.probs).max(axis=1)
    found: dict[str, Any] = {
        "schema_version": 1,
        "cases": len(given),
        "failed": failed,
        "same_label": float((given.predicted == wanted.predicted).mean()),
        "mean_probability_difference": float(different.mean()),
        "largest_probability_difference": float(different.max()),
    }
    if datalist is None:
        return found
    one, other = matched(given, wanted)
    samples = [Sample.of(side, one.groups) for side in (one, other)]
    difference = paired_bootstrap(samples[0], samples[1], (FIGURE,), draws=draws)[FIGURE]
    found["accuracy"] = {
        "exported": difference.first,
        "network": difference.second,
        **{name: getattr(difference, name) for name in ("difference", "low", "high")},
    }
    return found


def summary(found: dict[str, Any]) -> str:
    """One line of what `fidelity` gives."""
    text = (
        f"On {found['cases']} images the label is the network's for {found['same_label']:.1%}; "
        f"probabilities differ by {found['mean_probability_difference']:.4f} on average, "
        f"{found['largest_probability_difference']:.3f} at most."
    )
    if "accuracy" in found:
        accuracy = found["accuracy"]
        text += (
            f" Accuracy {accuracy['exported']:.4f}, the network's {accuracy['network']:.4f}: difference "
            f"{accuracy['difference']:+.4f} ({accuracy['low']:+.4f} to {accuracy['high']:+.4f})."
        )
    return text + (f" {found['failed']} images could not be read." if found["failed"] else "")


def _both(
    path: Path, predictor: Predictor, items: list[dict[str, Any]]
) -> tuple[Predictions, Predictions, int]:
    """The answers of the file and of the network to the images that can be read, and how many cannot."""
    run, failed = runner(path), 0
    parts: tuple[list[Predictions], list[Predictions]] = ([], [])
    for batch, images, failures in predictor.batches(items):
        failed += len(failures)
        if images is None:
            continue
        for side, logits in zip(parts, (run(images).numpy(), predictor.logits(images)), strict=True):
            side.append(predictions(batch, logits, predictor.bundle.labels, model=predictor.bundle.name))
    if not parts[0]:
        raise DataError(f"None of {len(items)} images could be read: name images the model takes.")
    return put_together(parts[0]), put_together(parts[1]), failed
