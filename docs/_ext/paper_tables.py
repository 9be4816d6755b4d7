"""The papers' tables beside what is counted here: parameters, and operations of one image.

Counted figures stand in `_data/costs.json`, which `scripts/costs.py` writes, since building every network
takes longer than a page should.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_brain.bundles import Bundle

COSTS = Path(__file__).resolve().parents[1] / "_data" / "costs.json"
_OF_A_ROW = ("name", "model", "variant", "input")


@dataclass(frozen=True)
class Counted:
    """A network whose cost is wanted: a variant of a model, for an input and a number of classes."""

    model: str
    variant: str
    input: tuple[int, int, int]
    classes: int


def wanted(bundle: Bundle) -> list[Counted]:
    """The networks of a model that the page shows: its own, its variants', and those of the paper's rows."""
    classes = len(bundle.labels)
    own = [Counted(bundle.name, name, bundle.input_shape, classes) for name in networks(bundle)]
    rows = [_counted(bundle, table, row) for table in bundle.facts.get("tables", []) for row in table["rows"]]
    return list(dict.fromkeys([*own, *rows]))


def networks(bundle: Bundle) -> list[str]:
    """The variants whose network is built otherwise than the bundle's own; that one first, as ""."""
    recipe = json.loads(bundle.config("inference").read_text("utf-8"))
    read = {str(value)[1:] for value in recipe["network_def"].values() if str(value).startswith("@")}
    changing = [
        name
        for name, changes in bundle.facts.get("variants", {}).items()
        if any(key.startswith("network_def#") or key in read for key in changes)
    ]
    return ["", *changing]


def key(counted: Counted) -> str:
    """How a network is called in the file of costs: `baseline/vgg16 3x224x224 4`."""
    size = "x".join(map(str, counted.input))
    return f"{counted.model}/{counted.variant} {size} {counted.classes}"


def tables(bundle: Bundle) -> str:
    """A section of Markdown for each table of the model's paper, then the paper's slips."""
    costs = json.loads(COSTS.read_text("utf-8"))
    parts = [_table(bundle, table, costs) for table in bundle.facts.get("tables", [])]
    own = [_line(counted.variant or "the bundle's own", costs[key(counted)]) for counted in _own(bundle)]
    parts.append(
        "### Counted here\n\nOf one image, a multiply-add being two; norms, activations and pooling are "
        f"left out.\n\n{_markdown(('network', 'parameters', 'GFLOPs'), own)}"
    )
    if slips := bundle.facts.get("slips"):
        said = "\n".join(f"- {slip}" for slip in slips)
        parts.append(
            f"What the paper leaves open, or says in two ways; nothing here is fitted to it:\n\n{said}"
        )
    return "\n\n".join(parts)


def _own(bundle: Bundle) -> Iterator[Counted]:
    for counted in wanted(bundle):
        if counted.model == bundle.name and counted.input == bundle.input_shape:
            yield counted


def _counted(bundle: Bundle, table: dict[str, Any], row: dict[str, Any]) -> Counted:
    channels, height, width = row.get("input", table["input"])
    model = row.get("model", bundle.name)
    return Counted(model, row["variant"], (channels, height, width), table["classes"])


def _table(bundle: Bundle, table: dict[str, Any], costs: dict[str, dict[str, int]]) -> str:
    figures = [name for row in table["rows"] for name in row if name not in _OF_A_ROW]
    columns = list(dict.fromkeys(figures))
    rows = []
    for row in table["rows"]:
        counted = _counted(bundle, table, row)
        _, parameters, flops = _line("", costs[key(counted)])
        name = f"`{counted.model}`, `{counted.variant}`" if "model" in row else f"`{counted.variant}`"
        rows.append([row["name"], *(row.get(column, "") for column in columns), name, parameters, flops])
    head = ["in the paper", *(column.replace("_", " ") for column in columns)]
    shown = _markdown([*head, "variant here", "parameters counted", "GFLOPs counted"], rows)
    size = " x ".join(map(str, table["input"]))
    return f"### The paper's figures: {table['name']}\n\n{table['what']}. Counted at {size}.\n\n{shown}"


def _line(name: str, cost: dict[str, int]) -> tuple[str, str, str]:
    return name, f"{cost['parameters']:,}", f"{cost['flops'] / 1e9:.2f}"


def _markdown(head: Any, rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
