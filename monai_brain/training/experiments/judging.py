"""What a finished model says of the images of a datalist, with all that the datalist says of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from monai_brain.data.schema import called
from monai_brain.evaluation.predictions import Predictions, put_together
from monai_brain.inference.predict import Failure, Predictor


def judge(
    predictor: Predictor, items: Sequence[dict[str, Any]], progress: bool | None = False
) -> tuple[Predictions | None, list[Failure]]:
    """The predictions for items in order, and the items that could not be read."""
    parts: list[Predictions] = []
    failures: list[Failure] = []
    hidden = None if progress is None else not progress
    with tqdm(total=len(items), unit="image", desc="predict", disable=hidden) as bar:
        for batch, images, failed in predictor.batches(items, threads=os.cpu_count() or 1):
            failures += failed
            if images is not None:
                parts.append(rows(predictor, batch, predictor.logits(images)))
            bar.update(len(batch) + len(failed))
    return (put_together(parts) if parts else None), failures


def rows(
    predictor: Predictor, items: Sequence[dict[str, Any]], logits: Any, variant: str = ""
) -> Predictions:
    """Predictions out of logits (B, classes) of items, as the bundle's own test."""
    variant = variant or str(predictor.bundle.facts.get("variant") or "")
    return predictor.answers(items, logits, split="test", variant=variant)


def named(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items of a datalist, each under the case that it bears."""
    return [{**item, "case": called(item)} for item in items]
