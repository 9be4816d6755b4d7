"""Predictions out of a network's outputs and the items they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from monai_brain.evaluation.prediction_rows import Predictions

# Columns of predictions that an item may fill; whatever else it holds becomes a meta column.
_COLUMNS = ("image", "split", "fold", "repeat", "patient_id", "group", "source", "plane")
_NO_META = ("case", "label", "class_name", "sha256", "validates", *_COLUMNS)


def predictions(
    items: Sequence[Mapping[str, Any]],
    logits: npt.ArrayLike,
    labels: Sequence[str],
    **columns: Any,
) -> Predictions:
    """The predictions for items in the order of the rows of `logits`, (N, C).

    Args:
        items: each with its case and, where known, its class name, patient and the like.
        logits: what the network gave.
        labels: the class names in the network's order.
        columns: values that stand for every row: model, weights_sha256, variant, ...
    """
    scores = np.asarray(logits, dtype=np.float64).reshape(len(items), len(labels))
    filled = {
        name: [item[name] if item.get(name) is not None else _empty(name) for item in items]
        for name in _COLUMNS
        if name not in columns and any(item.get(name) is not None for item in items)
    }
    meta = sorted({str(key) for item in items for key in item if key not in _NO_META})
    return Predictions(
        labels,
        [str(item["case"]) for item in items],
        softmax(scores, axis=1),
        logits=scores,
        label=[str(item.get("class_name") or "") for item in items],
        meta={name: [_text(item.get(name)) for item in items] for name in meta},
        **filled,
        **columns,
    )


def _empty(name: str) -> Any:
    return -1 if name in ("fold", "repeat") else ""


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(map(str, value))
    return str(value)
