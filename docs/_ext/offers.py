"""What the project's own plugins offer: the models, and what stands under names."""

from __future__ import annotations

import json
from typing import Any

import markdown_text
import paper_tables
from markdown_text import code

from monai_brain import recipe
from monai_brain.bundles import Bundle
from monai_brain.registry import registry

_OURS = "monai_brain_plugins."
_BY_OPTION = (*recipe.PLACES, "fold", "resume", "start_weights", "variant")


def table(kind: str, word: str) -> str:
    """The offers of one kind, for example the datasets, of the plugins in this repository."""
    modules = registry().plugins
    rows = [
        (code(name), offer.help)
        for name, offer in sorted(getattr(registry(), kind).items())
        if modules[offer.plugin].startswith(_OURS)
    ]
    return markdown_text.table((word, "what it is"), rows)


def formats() -> str:
    """The image formats that are read, by the names that the reader gives them."""
    from monai_brain.data.formats import FORMATS

    return ", ".join(code(name) for name in dict.fromkeys(known.name for known in FORMATS))


def bundles() -> list[Bundle]:
    """The bundles in this repository, by name."""
    import monai_brain_bundles

    own = tuple(monai_brain_bundles.__path__)
    found = registry()
    if found.broken:
        raise RuntimeError(f"Plugins are broken: {found.broken}")
    return [bundle for _, bundle in sorted(found.bundles.items()) if str(bundle.root).startswith(own)]


def models() -> str:
    """A section for every model."""
    return "\n\n".join(_section(bundle) for bundle in bundles())


def _section(bundle: Bundle) -> str:
    facts, metadata = bundle.facts, bundle.metadata
    channels, height, width = bundle.input_shape
    rows: list[tuple[str, object]] = [
        ("classes", ", ".join(map(code, bundle.labels))),
        ("input", f"{channels} x {height} x {width}"),
        ("parameters", f"{facts['parameters']:,}" if "parameters" in facts else "not stated"),
        ("operations", f"{facts['flops'] / 1e9:.3g} G an image" if "flops" in facts else "not stated"),
        ("weights", _weights(bundle)),
        ("licence", facts.get("licence", "not stated")),
        ("version", metadata["version"]),
        ("paper", _paper(facts.get("paper", {}))),
    ]
    parts = [f"## {bundle.name}", str(metadata["description"]), markdown_text.table(("", ""), rows)]
    if facts.get("variants"):
        parts += [
            "Variants, by `--variant`:",
            markdown_text.table(("variant", "what it sets"), _variants(facts)),
        ]
    parts += [
        paper_tables.tables(bundle),
        "### Recipe",
        "Values of its training recipe, by `--set`:",
        markdown_text.table(("key", "value"), [(code(key), code(value)) for key, value in settings(bundle)]),
        f"**{bundle.disclaimer}**",
    ]
    return "\n\n".join(parts)


def settings(bundle: Bundle) -> list[tuple[str, str]]:
    """The plain values at the top of train.json, without those that options of `train` set."""
    content = json.loads(bundle.config("train").read_text("utf-8"))
    return [
        (key, json.dumps(value))
        for key, value in content.items()
        if key not in _BY_OPTION
        and isinstance(value, str | int | float | bool)
        and not str(value).startswith("$")
    ]


def _weights(bundle: Bundle) -> str:
    if bundle.weights is None:
        return "none shipped: train it, or name a file or a run by `--weights`"
    return f"shipped, SHA-256 {code(bundle.weights_sha256)}"


def _paper(paper: dict[str, Any]) -> str:
    text = ". ".join(str(paper[key]) for key in ("authors", "title", "journal", "year") if paper.get(key))
    if paper.get("arxiv"):
        return f"{text}. [arXiv {paper['arxiv']}](https://arxiv.org/abs/{paper['arxiv']})"
    if paper.get("doi"):
        return f"{text}. [doi {paper['doi']}](https://doi.org/{paper['doi']})"
    return text


def _variants(facts: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (code(name), ", ".join(code(f"{key}={json.dumps(value)}") for key, value in changes.items()))
        for name, changes in facts["variants"].items()
    ]
