"""A model's limits fitted on its own training data, and how well they tell what lies elsewhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_brain.bundles import Bundle
from monai_brain.data import datalist as datalists
from monai_brain.data.schema import called
from monai_brain.errors import OutputError
from monai_brain.evaluation.intervals import wilson
from monai_brain.files import read_json, whole, write_json
from monai_brain.inference import probes
from monai_brain.inference import weights as network_weights
from monai_brain.inference.domain import SHARE, Domain, fit
from monai_brain.inference.explain import bundle_layer
from monai_brain.inference.gates import DONE, FAILED
from monai_brain.inference.inputs import Given
from monai_brain.inference.predict import predict
from monai_brain.inference.predictor import Predictor

_HEADING = "## When it abstains"


def calibrate(
    model: str | os.PathLike[str] | Bundle,
    datalist: str | os.PathLike[str],
    fold: int = 0,
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    share: float = SHARE,
    least_confidence: float | None = None,
    outside: Given | None = None,
    progress: bool | None = False,
) -> dict[str, Any]:
    """Fit when a model abstains, keep it beside its weights, and say how often that happens.

    The training part of the fold tells what the model knows, its validation part where the limits lie. How
    often it withholds a label from test images, and from images that it is not made for, goes into the
    model's metadata and card.

    Args:
        model: a run folder or a bundle folder whose weights lie in it.
        datalist: the one that the model was trained on.
        fold: the fold that was held out.
        weights: a .pt file or a run folder instead of the model's own weights.
        device: "cuda", "cpu"; by default the GPU where there is one.
        share: what share of the validation images each of the three limits may give up.
        least_confidence: a least confidence chosen elsewhere, instead of a fitted one.
        outside: images that the model should abstain from.
        progress: True or False for a bar, None for one on a terminal.

    Returns:
        "path"; "abstains": the share of the test images, of noise, of natural-looking images, of phantoms
        of another organ, and of the outside images, that get no label, with Wilson's 95 % interval;
        "limits".

    Raises:
        DataError: There are too few images.
        OutputError: The folder of the weights cannot be written.
    """
    predictor = Predictor(model, weights, device)
    layer, labels = bundle_layer(predictor.bundle), predictor.bundle.labels
    logits, features, held_out = [], [], []
    for side in ("train", "validation"):
        items = datalists.part(datalist, fold, side, labels)
        for part, seen in _seen(predictor, items, layer, side, progress):
            logits.append(part)
            features.append(seen)
            held_out += [side == "validation"] * len(part)
    domain = fit(
        np.concatenate(logits), np.concatenate(features), held_out, layer=layer,
        weights_sha256=predictor.weights_sha256, share=share, least_confidence=least_confidence,
    )  # fmt: skip
    folder = network_weights.locate(predictor.bundle, weights)[0].parent
    try:
        path = domain.save(folder)
    except OutputError as error:
        raise OutputError(
            f"{error} An installed model is copied first: monai-brain copy MODEL DIR."
        ) from None
    test = [item["image"] for item in datalists.part(datalist, fold, "test", labels)]
    abstains = {"test": _share(predictor, weights, device, test)}
    with tempfile.TemporaryDirectory(prefix="monai_brain_") as drawn:
        for name, place in probes.write(predictor.bundle, Path(drawn)).items():
            abstains[name] = _share(predictor, weights, device, place)
    if outside is not None:
        abstains["outside"] = _share(predictor, weights, device, outside)
    _keep(folder.parent, abstains)
    return {
        "schema_version": 1,
        "path": str(path),
        "model": predictor.bundle.name,
        "weights_sha256": predictor.weights_sha256,
        "fitted_on": domain.fitted_on,
        "share": domain.share,
        "limits": _limits(domain),
        "abstains": abstains,
        "disclaimer": predictor.bundle.disclaimer,
    }


def _seen(
    predictor: Predictor, items: Iterable[dict[str, Any]], layer: str, side: str, progress: bool | None
) -> Iterable[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    named = [item | {"case": called(item)} for item in items]
    hidden = None if progress is None else not progress
    with tqdm(total=len(named), unit="image", desc=side, disable=hidden, delay=2) as bar:
        for batch, images, failures in predictor.batches(named, threads=os.cpu_count() or 1):
            bar.update(len(batch) + len(failures))
            if images is not None:
                yield predictor.seen(images, layer)


def _share(
    predictor: Predictor, weights: str | os.PathLike[str] | None, device: str | None, inputs: Given
) -> dict[str, Any]:
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    answers = predict(predictor.bundle, given, weights=weights, device=device).inputs
    asked = [one for one in answers if one.status != FAILED]
    caught = sum(one.status != DONE for one in asked)  # by its limits, or by its gates before them
    share = caught / len(asked) if asked else float("nan")
    low, high = wilson(share, len(asked)) if asked else (float("nan"), float("nan"))
    return {"images": len(asked), "abstained": caught, "value": share, "low": low, "high": high}


def _keep(root: Path, abstains: dict[str, Any]) -> None:
    """Write into the metadata and the card of the bundle that the weights lie in, where they lie in one."""
    path = root / "configs" / "metadata.json"
    if not path.is_file():
        return
    metadata = read_json(path)
    metadata.setdefault("monai_brain", {})["abstains"] = abstains
    write_json(path, metadata)
    card = root / "docs" / "README.md"
    if not card.is_file():
        return
    rows = [
        f"| {name} | {one['images']} | {one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f}) |"
        for name, one in abstains.items()
    ]
    head = ["How often it gives no label, with 95 % intervals (Wilson):", ""]
    table = ["| images | how many | share without a label |", "| --- | --- | --- |", *rows]
    section = "\n".join([_HEADING, "", *head, *table, ""])
    before, _, behind = card.read_text(encoding="utf-8").partition(f"{_HEADING}\n")
    rest = behind[behind.index("\n## ") + 1 :] if "\n## " in behind else ""
    with whole(card) as stream:
        stream.write(f"{before.rstrip()}\n\n{section}" + (f"\n{rest}" if rest else ""))


def _limits(domain: Domain) -> dict[str, float]:
    return {name: getattr(domain, name) for name in ("least_confidence", "least_energy", "greatest_distance")}
