"""A model's maps held against the boxes of a datalist, beside baselines that need no training."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from monai_brain.bundles import Bundle
from monai_brain.data import datalist as datalists
from monai_brain.data.schema import called
from monai_brain.errors import DataError
from monai_brain.evaluation.intervals import DRAWS
from monai_brain.inference import inputs
from monai_brain.inference import weights as network_weights
from monai_brain.inference.explain import Explainer, Explanation, bundle_layer
from monai_brain.inference.localisation import (
    Box,
    ceiling_hits,
    centre_hits,
    measured,
    rank_correlation,
    summary,
)
from monai_brain.inference.predictor import Predictor

BOX_KEYS = ("tumor_box", "tumor_box_cx_cy_w_h")
_RANDOM_SEED = 20251  # not one that a model is likely to have begun from


def localise(
    model: str | os.PathLike[str] | Bundle,
    datalist: str | os.PathLike[str],
    *,
    fold: int | None = None,
    method: str = "gradcam",
    layer: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    draws: int = DRAWS,
    progress: bool | None = False,
) -> dict[str, Any]:
    """How well the maps of the true class point at the boxes of a datalist, with 95 % intervals by patient.

    Args:
        model: a registered name, a bundle folder or a run folder.
        datalist: its items hold "tumor_box": centre, width and height in fractions of the image.
        fold: take only the images that this fold tests; by default all.
        method: as for explain.
        layer: as for explain.
        weights: a .pt file or a run folder instead of the model's own weights.
        device: "cuda", "cpu"; by default the GPU where there is one.
        draws: bootstrap draws of the intervals.
        progress: True or False for a bar, None for one on a terminal.

    Returns:
        "model": pointing, iou and energy_inside; "random weights": the same of an untrained network;
        "image centre" and "grid ceiling": pointing; each {value, low, high}. "rank_correlation" of the
        maps with those of random weights, "images", "groups", "failed".

    Raises:
        DataError: No item has a box and a class that the model knows.
    """
    predictor = Predictor(model, weights, device)
    items = list(_boxed(Path(datalist), fold, predictor.bundle.labels))
    if not items:
        raise DataError(f"{datalist}: no image has a tumor_box and a class of {predictor.bundle.name}.")
    chosen = layer or bundle_layer(predictor.bundle)
    explainers = {
        "model": Explainer(predictor, method, chosen),
        "random weights": Explainer(_untrained(predictor), method, chosen),
    }
    rows: dict[str, list[dict[str, float]]] = {
        name: [] for name in (*explainers, "image centre", "grid ceiling")
    }
    groups: list[str] = []
    correlations: list[float] = []
    failed = 0
    hidden = None if progress is None else not progress
    names = sorted({item["class_name"] for item in items})
    with tqdm(total=len(items), unit="image", desc="localise", disable=hidden, delay=2) as bar:
        for class_name in names:
            wanted = [item for item in items if item["class_name"] == class_name]
            maps = (one.explain(wanted, class_name, os.cpu_count() or 1) for one in explainers.values())
            for item, trained, untrained in zip(wanted, *maps, strict=True):
                bar.update()
                if not isinstance(trained, Explanation) or not isinstance(untrained, Explanation):
                    failed += 1
                    continue
                height, width = trained.heat.shape
                box = Box.of(item["box"], (height, width))
                grid = explainers["model"].maps.grid
                rows["model"].append(measured(trained.heat, box))
                rows["random weights"].append(measured(untrained.heat, box))
                rows["image centre"].append({"pointing": centre_hits((height, width), box)})
                rows["grid ceiling"].append({"pointing": ceiling_hits((height, width), box, grid)})
                groups.append(item["group"])
                correlations.append(rank_correlation([trained.heat], [untrained.heat]))
    if not groups:
        raise DataError(f"{datalist}: none of {failed} images with a box could be read.")
    known = np.array(correlations)[np.isfinite(correlations)]
    return {
        "schema_version": 1,
        "model_name": predictor.bundle.name,
        "weights_sha256": predictor.weights_sha256,
        "method": explainers["model"].maps.method,
        "layer": chosen,
        "images": len(groups),
        "groups": len(set(groups)),
        "failed": failed,
        **{name: summary(found, groups, draws=draws) for name, found in rows.items()},
        "rank_correlation": float(known.mean()) if len(known) else None,
        "disclaimer": predictor.bundle.disclaimer,
    }


def _boxed(path: Path, fold: int | None, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    content = datalists.read(path)
    for item in [*content["training"], *content["testing"]]:
        box = next((str(item[key]) for key in BOX_KEYS if item.get(key)), "")
        if not box or item["class_name"] not in labels or (fold is not None and item.get("fold") != fold):
            continue
        yield {
            **inputs.named(item),
            "case": called(item),
            "class_name": item["class_name"],
            "box": box,
            "group": str(item.get("group") or item.get("patient_id") or item["image"]),
        }


def _untrained(predictor: Predictor) -> Predictor:
    """The same predictor with a network as it was before any training."""
    twin = copy.copy(predictor)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_SEED)
        twin.network = network_weights.network(predictor.bundle).eval().to(predictor.device)
    return twin
