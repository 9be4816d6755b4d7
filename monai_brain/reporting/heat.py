"""Grad-CAM maps for the page, where the model and the images are at hand."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.errors import MonaiBrainError
from monai_brain.evaluation.predictions import Predictions
from monai_brain.reporting.paths import unplaced
from monai_brain.reporting.pictures import boxed
from monai_brain.reporting.source import Run, Source

SIDE = 28  # a map of a last stage has 7 to 14 cells a side: more would show nothing more
METHOD = "gradcam"


@dataclass
class Maps:
    """Maps by row, each SIDE x SIDE bytes as text, and in words why there are no more."""

    found: dict[int, str] = field(default_factory=dict)
    says: str = ""
    layer: str = ""


def maps(
    source: Source,
    rows: Sequence[int],
    device: str | None = None,
    step: Callable[[int], object] = lambda done: None,
) -> Maps:
    """The map of the evidence for the named class of each of the rows.

    Args:
        source: the runs whose networks are asked; a row is asked of the run that answered it.
        rows: the rows of the predictions wanted.
        device: "cuda", "cpu"; by default the GPU where there is one.
        step: is told how many further rows are done.
    """
    answer = Maps()
    trained = [run for run in source.runs if (run.folder / WEIGHTS_FILE).is_file()]
    if not trained:
        answer.says = "No maps: the trained network is not beside the predictions."
        return answer
    try:
        for run in trained:
            own = _of(run, source.predictions, rows, len(trained) == 1)
            if own:
                _explain(run, source, own, answer, device, step)
    except MonaiBrainError as error:
        answer.says = f"Maps are missing: {unplaced(str(error))}"
    if not answer.found and not answer.says:
        answer.says = "No maps: the network beside the predictions is not the one that made them."
    return answer


def _explain(
    run: Run, source: Source, rows: list[int], answer: Maps, device: str | None, step: Callable[[int], object]
) -> None:
    from monai_brain.inference.explain import Explainer, Explanation
    from monai_brain.inference.predict import Predictor

    predictor = Predictor(Bundle.at(run.folder), device=device)
    explainer = Explainer(predictor, METHOD)
    items = (_item(source, row) for row in rows)
    for row, one in zip(rows, explainer.explain(items), strict=True):
        step(1)
        if isinstance(one, Explanation) and one.class_name == source.predictions.column("predicted")[row]:
            small = (boxed(one.heat, SIDE) * 255).round().clip(0, 255).astype(np.uint8)
            answer.found[row] = base64.b64encode(small.tobytes()).decode()
    answer.layer = explainer.maps.layer


def _item(source: Source, row: int) -> dict[str, Any]:
    item: dict[str, Any] = {
        "image": str(source.folder / Path(str(source.predictions.image[row]))),
        "case": str(row),
    }
    frame = source.predictions.meta["frame"][row] if "frame" in source.predictions.meta else ""
    return item | ({"frame": frame} if frame != "" else {})


def _of(run: Run, predictions: Predictions, rows: Sequence[int], alone: bool) -> list[int]:
    """The rows that the run answered, as the weights' hash tells; without one, all rows of an only run."""
    recorded = Bundle.at(run.folder).weights_sha256
    known = predictions.weights_sha256
    return [row for row in rows if known[row] == recorded or (alone and not known[row])]
