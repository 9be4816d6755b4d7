"""Which views and techniques a model was trained on, so that it abstains from others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_brain.data import datalist as datalists
from monai_brain.inference.gates import TRAINED_ON

FACTS = ("view_position", "technique")


def keep(facts: dict[str, Any], datalist: str | Mapping[str, Any], fold: int | None) -> None:
    """Write into a bundle's facts what its training images are, where each of them says so.

    Where one image does not say what it is, any view may have been trained on, and nothing is written.

    Args:
        facts: The bundle's own facts; what stands there of an earlier training goes.
        datalist: What is trained on.
        fold: The fold that is held out; None where every image is trained on.
    """
    facts.pop(TRAINED_ON, None)
    content = datalists.read(datalist)
    items = [
        item
        for item in content["training"]
        if fold is None or (item["fold"] != fold and fold not in item["validates"])
    ]
    found: dict[str, list[str]] = {}
    for name in FACTS:
        values = {str(item.get(name) or "").strip() for item in items}
        if values and "" not in values:
            found[name] = sorted(values)
    if found:
        facts[TRAINED_ON] = found
