"""list, info, copy: what is installed. Nothing here imports torch."""

from __future__ import annotations

import argparse
import json
from typing import Any

from monai_brain import registry
from monai_brain.bundles import Bundle


def list_models(options: argparse.Namespace) -> None:
    """Print the models and the plugins that were put aside."""
    found = registry.read_again() if options.refresh else registry.registry()
    if options.json:
        models = [_line(bundle) for _, bundle in sorted(found.bundles.items())]
        print(
            json.dumps(
                {"schema_version": 1, "models": models, "plugins": found.plugins, "broken": found.broken}
            )
        )
        return
    rows = [
        (name, _weights(bundle), bundle.facts.get("summary", "")) for name, bundle in found.bundles.items()
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for name, weights, summary in sorted(rows):
        print(f"{name:{widths[0]}}  {weights:{widths[1]}}  {summary}")
    if not rows:
        print("No models are installed.")
    for plugin, reason in sorted(found.broken.items()):
        print(f"broken plugin {plugin}: {reason}")


def info(options: argparse.Namespace) -> None:
    """Print what a model is."""
    bundle = registry.bundle(options.model)
    if options.path:
        print(bundle.root)
    elif options.bibtex:
        print(bibtex(bundle))
    elif options.json:
        print(json.dumps({"schema_version": 1, **_facts(bundle)}, ensure_ascii=False))
    else:
        for key, value in _facts(bundle).items():
            if value is not None:
                print(f"{key.replace('_', ' '):>15}  {_shown(key, value)}")


def copy(options: argparse.Namespace) -> None:
    """Copy a model's bundle to a new folder."""
    made = registry.bundle(options.model).copy(options.folder)
    if options.json:
        print(json.dumps({"schema_version": 1, "path": str(made.root)}))
    else:
        print(f"{made.name} is now in {made.root}")


def bibtex(bundle: Bundle) -> str:
    """The BibTeX entry of the model's paper."""
    paper = bundle.facts.get("paper", {})
    fields = {
        "title": paper.get("title"),
        "author": str(paper.get("authors", "")).replace(", ", " and "),
        "year": paper.get("year"),
        "eprint": paper.get("arxiv"),
        "archivePrefix": "arXiv" if paper.get("arxiv") else None,
        "journal": paper.get("journal"),
        "doi": paper.get("doi"),
    }
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items() if value]
    return "\n".join([f"@article{{{bundle.name},", *lines, "}"])


def _line(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "version": bundle.metadata.get("version"),
        "labels": list(bundle.labels),
        "weights": bundle.weights is not None,
        "weights_url": bundle.weights_listing.get("url"),
        "summary": bundle.facts.get("summary", ""),
        "path": str(bundle.root),
    }


def _facts(bundle: Bundle) -> dict[str, Any]:
    channels, height, width = bundle.input_shape
    return {
        "name": bundle.name,
        "version": bundle.metadata.get("version"),
        "summary": bundle.facts.get("summary", ""),
        "labels": list(bundle.labels),
        "input": f"{channels} x {height} x {width}",
        "parameters": bundle.facts.get("parameters"),
        "flops": bundle.facts.get("flops"),
        "variants": sorted(bundle.facts.get("variants", {})),
        "weights": _weights(bundle),
        "weights_sha256": bundle.weights_sha256,
        "licence": bundle.facts.get("licence"),
        "paper": _paper(bundle.facts.get("paper", {})),
        "path": str(bundle.root),
        "disclaimer": bundle.disclaimer,
    }


def _paper(paper: dict[str, Any]) -> str:
    parts = [str(paper[key]) for key in ("authors", "title", "journal", "year") if key in paper]
    places = {"arxiv": "arXiv", "doi": "DOI"}
    return ". ".join([*parts, *(f"{shown} {paper[key]}" for key, shown in places.items() if key in paper)])


def _shown(key: str, value: Any) -> str:
    if key == "parameters":
        return f"{value:,}"
    if key == "flops":
        return f"{value / 1e9:.3g} G an image, a multiply-add being two"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _weights(bundle: Bundle) -> str:
    if bundle.weights:
        return "weights"
    return "to fetch" if bundle.fetched_weights else "no weights"
