"""The model card and the manifest: what answered, how it was made, and on what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.errors import MonaiBrainError
from monai_brain.reporting.arms import Arm
from monai_brain.reporting.markup import Markup, tag
from monai_brain.reporting.paths import unplaced
from monai_brain.reporting.sheet import Estimate, scrolling
from monai_brain.reporting.source import Source

NOT_STATED = "not stated"
_RECIPE = (
    "seed", "start_weights", "max_epochs", "batch_size", "learning_rate", "image_size", "in_channels", "amp",
)  # fmt: skip


def model(source: Source, arm: Arm) -> dict[str, Any]:
    """Names and values of the model; what no file states is said to be not stated."""
    bundle, metrics = arm.bundle, arm.metrics
    facts: Mapping[str, Any] = {} if bundle is None else bundle.facts
    metadata: Mapping[str, Any] = {} if bundle is None else bundle.metadata
    told = source.manifest.get("datalist")
    told = told if isinstance(told, dict) else {}
    card = {
        "Model": metrics["model"] or NOT_STATED,
        "Variant": metrics["variant"] or "the bundle\u2019s own settings",
        "Version": metadata.get("version", NOT_STATED),
        "What it tells": facts.get("summary", NOT_STATED),
        "Classes": ", ".join(metrics["classes"]),
        "Input": _input(bundle),
        "Parameters": f"{facts['parameters']:,}" if facts.get("parameters") else NOT_STATED,
        "Operations per image": f"{facts['flops'] / 1e9:.2f} GFLOPs" if facts.get("flops") else NOT_STATED,
        "Intended use": metadata.get("intended_use", NOT_STATED),
        "Trained on": told.get("name") or NOT_STATED,
        "Recipe made for": metadata.get("data_source", NOT_STATED),
        "Paper": paper(facts.get("paper")) or NOT_STATED,
        "Licence": facts.get("licence", NOT_STATED),
        "Weights, SHA-256": ", ".join(metrics["weights_sha256"]) or NOT_STATED,
        "Rule": ", ".join(metrics["rule"]),
    }
    settings = {
        key: source.recipe[key] for key in _RECIPE if not str(source.recipe.get(key, "$")).startswith("$")
    }
    if settings:
        card["Recipe"] = "; ".join(f"{key} {json.dumps(value)}" for key, value in settings.items())
    for key in ("temperature", "thresholds"):
        if facts.get(key):
            card[key.capitalize()] = json.dumps(facts[key])
    for name, found in (facts.get("abstains") or {}).items():
        card[f"Gives no label, {name}"] = f"{Estimate.of(found)} of {found['images']:,} images"
    return card


def paper(found: object) -> str:
    """A paper in one line; empty where none is told."""
    if not isinstance(found, dict):
        return ""
    parts = [found.get("authors"), found.get("title"), found.get("journal"), found.get("year")]
    line = ". ".join(str(part) for part in parts if part)
    if found.get("arxiv"):
        line += f". arXiv {found['arxiv']}"
    return line + (f". DOI {found['doi']}" if found.get("doi") else "")


def manifest(source: Source) -> dict[str, Any]:
    """The manifest without schema, model and paths; with it the states of an experiment's jobs."""
    content = {**source.experiment, **source.manifest}
    for key in ("schema_version", "model", "jobs", "paper"):
        content.pop(key, None)
    if source.runs and source.experiment:
        content["jobs"] = {run.name: run.state or "state not recorded" for run in source.runs}
    return {key: unplaced(value) for key, value in content.items()}


def facts(content: Mapping[str, Any], name: str) -> Markup:
    """Names and values, one in a row; what is nested is shown as JSON."""
    rows = [
        tag(
            "tr",
            tag("th", key.replace("_", " ").capitalize() if key.islower() else key, scope="row"),
            tag(
                "td", value if isinstance(value, str) else tag("code", json.dumps(value, ensure_ascii=False))
            ),
        )
        for key, value in content.items()
        if value not in (None, "", [], {})
    ]
    return scrolling(tag("table", tag("tbody", *rows), class_="facts"), name)


def _input(bundle: Bundle | None) -> str:
    if bundle is None:
        return NOT_STATED
    try:
        channels, height, width = bundle.input_shape
    except MonaiBrainError:
        return NOT_STATED
    return f"{channels} \u00d7 {height} \u00d7 {width}"
