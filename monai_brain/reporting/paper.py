"""The figures that a model's paper states, put into the words and the scale of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.errors import MonaiBrainError
from monai_brain.files import read_json
from monai_brain.reporting.source import TRANSFER, Source

NAMES = {
    "accuracy": "accuracy",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "sensitivity": "macro_recall",
    "specificity": "macro_specificity",
    "f1": "macro_f1",
}
_MEAN = "mean"


def figures(source: Source, bundle: Bundle | None, model: str, variant: str) -> dict[str, float]:
    """The paper's overall figures for a model's variant, as shares of 1; empty where it states none.

    A baseline's figures stand among the tables of the paper that compares with it.
    """
    found: dict[str, float] = {}
    names = {"accuracy_other_data": "accuracy"} if source.kind == TRANSFER else NAMES
    wanted = variant or default_variant(bundle)
    for table, row in sorted(_rows(source, bundle), key=lambda pair: pair[1].get("name") != _MEAN):
        owner = row.get("model", table["owner"])
        if owner != model or row.get("variant", "") != wanted or "accuracy" not in row:
            continue
        scale = 100 if "%" in str(table.get("what", "")) else 1
        for key, name in names.items():
            if isinstance(row.get(key), int | float) and name not in found:
                found[name] = row[key] / scale
        break
    return found


def by_class(bundle: Bundle | None, variant: str, classes: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """The paper's figures of each class, as shares of 1; empty where it states none."""
    wanted = variant or default_variant(bundle)
    for table in _tables(bundle):
        rows = {row.get("name"): row for row in table["rows"] if row.get("variant", "") == wanted}
        if set(classes) <= set(rows):
            scale = 100 if "%" in str(table.get("what", "")) else 1
            return {
                name: {
                    NAMES[key].removeprefix("macro_"): value / scale
                    for key, value in rows[name].items()
                    if key in NAMES and isinstance(value, int | float)
                }
                for name in classes
            }
    return {}


def default_variant(bundle: Bundle | None) -> str:
    """The variant that the bundle's recipe is when none is asked for; empty where none is the same."""
    if bundle is None:
        return ""
    told = {row.get("variant") for table in _tables(bundle) for row in table["rows"]}
    try:
        recipe = read_json(bundle.config("train"))
    except MonaiBrainError:
        return ""
    for name, overrides in (bundle.facts.get("variants") or {}).items():
        if name in told and all(_at(recipe, key) == value for key, value in overrides.items()):
            return str(name)
    return ""


def _rows(source: Source, bundle: Bundle | None) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    models = dict.fromkeys(source.predictions.model.tolist())
    bundles = [bundle, *(source.bundle(model) for model in models)]
    for found in bundles:
        for table in _tables(found):
            for row in table["rows"]:
                yield table, row


def _tables(bundle: Bundle | None) -> list[dict[str, Any]]:
    tables = bundle.facts.get("tables") if bundle is not None else None
    if bundle is None or not isinstance(tables, list):
        return []
    return [
        {**table, "owner": bundle.name, "rows": [row for row in table["rows"] if isinstance(row, dict)]}
        for table in tables
        if isinstance(table, dict) and isinstance(table.get("rows"), list)
    ]


def _at(recipe: object, key: str) -> object:
    for step in key.split("#"):
        recipe = recipe.get(step) if isinstance(recipe, Mapping) else None
    return recipe
