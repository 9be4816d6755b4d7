"""Grad-CAM maps for the page, where the model and the images are at hand."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monai_brain.errors import MissingExtraError, MonaiBrainError
from monai_brain.evaluation.prediction_columns import NONE
from monai_brain.evaluation.predictions import Predictions
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
    trained = [run for run in source.runs if (run.folder / "models" / "model.pt").is_file()]
    if not trained:
        answer.says = "No maps: the trained network is not beside the predictions."
        return answer
    wanted = {id(run): _of(run, source.predictions, rows, len(trained) == 1) for run in trained}
    for run in trained:
        if not wanted[id(run)]:
            continue
        try:
            _explain(run, source, wanted[id(run)], answer, device, step)
        except MissingExtraError as error:
            answer.says = f"No maps: {error}"
            return answer
        except MonaiBrainError as error:
            answer.says = f"Maps are missing for {run.name}: {error}"
    if not answer.found and not answer.says:
        answer.says = "No maps: the network beside the predictions is not the one that made them."
    return answer


def _explain(
    run: Run, source: Source, rows: list[int], answer: Maps, device: str | None, step: Callable[[int], object]
) -> None:
    from monai_brain.bundles import Bundle
    from monai_brain.inference.explain import Explainer, Explanation
    from monai_brain.inference.predict import Item, Predictor

    predictor = Predictor(Bundle.at(run.folder), device=device)
    known = source.predictions.weights_sha256
    rows = [row for row in rows if known[row] in ("", predictor.weights_sha256)]
    explainer = Explainer(predictor, METHOD)
    items: Iterable[Item] = (
        {"image": str(source.folder / Path(str(source.predictions.image[row]))), "case": str(row)}
        for row in rows
    )
    for row, one in zip(rows, explainer.explain(items), strict=True):
        step(1)
        if isinstance(one, Explanation) and one.class_name == source.predictions.column("predicted")[row]:
            small = (boxed(one.heat, SIDE) * 255).round().clip(0, 255).astype(np.uint8)
            answer.found[row] = base64.b64encode(small.tobytes()).decode()
    answer.layer = explainer.maps.layer


def _of(run: Run, predictions: Predictions, rows: Sequence[int], alone: bool) -> list[int]:
    """The rows that the run answered."""
    if alone and not run.model:
        return list(rows)
    told = {
        "model": run.model,
        "variant": run.variant,
        "fold": NONE if run.fold is None else run.fold,
        "repeat": NONE if run.repeat is None else run.repeat,
    }
    return [
        row
        for row in rows
        if all(
            getattr(predictions, name)[row] in (value, "", NONE) or value in ("", NONE)
            for name, value in told.items()
        )
    ]
