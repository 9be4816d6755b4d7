"""Tables of an experiment: our figures with intervals, and the paper's beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.errors import MonaiBrainError
from monai_brain.files import read_json

# Our figures under the names that the papers use.
FIGURES = {
    "accuracy": "accuracy",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "specificity": "macro_specificity",
    "f1": "macro_f1",
}
MORE = {"balanced_accuracy": "balanced_accuracy", "auroc": "macro_auroc", "mcc": "mcc"}
_PAPERS_NAMES = {"sensitivity": "recall"}
_SHARES = (*FIGURES, *_PAPERS_NAMES, "accuracy_other_data")
_NOT_FIGURES = ("name", "model", "variant", "input")


def as_variant(bundle: Bundle, variant: str | None) -> str | None:
    """The name of the variant that the model is by default, where one says the same as its recipe."""
    if variant is not None:
        return variant
    if not (bundle.root / "configs" / "train.json").is_file():  # a cross-validation's folder
        bundle = registry.registry().bundles.get(bundle.name, bundle)
    recipe = bundle.root / "configs" / "train.json"
    settings = read_json(recipe) if recipe.is_file() else {}
    for name, overrides in bundle.facts.get("variants", {}).items():
        if overrides and all(_value(settings, key) == value for key, value in overrides.items()):
            return str(name)
    return None


def paper_rows(bundle: Bundle, name: str | None = None) -> list[dict[str, Any]]:
    """The rows of the paper's tables as the bundle lists them, with percentages as shares of 1."""
    found = []
    for table in bundle.facts.get("tables", []):
        if name is not None and table["name"] != name:
            continue
        percent = "%" in table.get("what", "")
        for row in table["rows"]:
            figures = {
                _PAPERS_NAMES.get(key, key): round(value / 100, 6) if percent and key in _SHARES else value
                for key, value in row.items()
                if key not in _NOT_FIGURES
            }
            found.append(
                {
                    "table": table["name"],
                    "name": row["name"],
                    "model": row.get("model", bundle.name),
                    "variant": row.get("variant"),
                    "figures": figures,
                }
            )
    return found


def paper_row(rows: Sequence[Mapping[str, Any]], model: str, variant: str | None) -> dict[str, Any] | None:
    """The first of the paper's rows that is about a model and variant, and the only one of its table."""
    for row in rows:
        alike = [
            other
            for other in rows
            if (other["table"], other["model"], other["variant"]) == (row["table"], model, variant)
        ]
        if len(alike) == 1 and alike[0] is row:
            return {"table": row["table"], "name": row["name"], **row["figures"]}
    return None


def of_contestants(
    name: str,
    metrics: Mapping[str, Any],
    contestants: Mapping[str, tuple[str, str | None]],
    paper: Sequence[Mapping[str, Any]],
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A table with a row for each contestant.

    Args:
        name: The table's name.
        metrics: What `results.contested` gives.
        contestants: The model and variant of each.
        paper: What `paper_rows` gives.
        more: Further cells of our own by contestant: parameters, latency, ...
    """
    rows = []
    for contestant, (model, variant) in contestants.items():
        bundle = _bundle(model)
        known = (bundle.name, as_variant(bundle, variant)) if bundle is not None else (model, variant)
        measured = metrics["contestants"][contestant]
        rows.append(
            {
                "name": contestant,
                "model": known[0],
                "variant": known[1],
                "ours": {**of_unit(measured["by_case"]), **(more or {}).get(contestant, {})},
                "by_patient": of_unit(measured["by_patient"]) if measured["by_patient"] else None,
                "paper": paper_row(paper, *known),
                "leakage": measured["leakage"],
            }
        )
    return {"name": name, "unit": "shares of 1", "rows": rows}


def of_classes(name: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A table with a row for each contestant and class."""
    rows = [
        {
            "name": contestant,
            "class": label,
            "ours": {key: found[key] for key in ("cases", *FIGURES) if key in found},
        }
        for contestant, measured in metrics["contestants"].items()
        for label, found in measured["by_case"]["per_class"].items()
    ]
    return {"name": name, "unit": "shares of 1", "rows": rows}


def of_folds(name: str, metrics: Mapping[str, Any], paper: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A table with a row for each fold, then their mean and standard deviation, as papers show them."""
    found = metrics["by_fold"]
    rows: list[dict[str, Any]] = []
    beside = {row["name"]: row["figures"] for row in paper}
    for number, fold in enumerate(found["folds"], 1):
        repeat = f", repeat {fold['repeat'] + 1}" if fold["repeat"] else ""
        title = f"fold {number}" if not repeat else f"fold {fold['fold'] + 1}{repeat}"
        rows.append(
            {
                "name": title,
                "fold": fold["fold"],
                "repeat": fold["repeat"],
                "cases": fold["cases"],
                "ours": _plain(fold),
                "paper": beside.get(title),
            }
        )
    rows.append({"name": "mean", "ours": _plain(found["mean"]), "paper": beside.get("mean")})
    rows.append({"name": "standard deviation", "ours": _plain(found["standard_deviation"]), "paper": None})
    rows.append(
        {
            "name": "all folds together, with intervals",
            "ours": of_unit(metrics["by_case"]),
            "by_patient": of_unit(metrics["by_patient"]) if metrics["by_patient"] else None,
            "paper": None,
        }
    )
    return {"name": name, "unit": "shares of 1", "rows": rows}


def of_tests(name: str, comparison: Mapping[str, Any]) -> dict[str, Any]:
    """A table with a row for each pair: differences with intervals, and the corrected p-values."""
    rows = [
        {
            "name": f"{pair['first']} - {pair['second']}",
            "cases": pair["cases"],
            "groups": pair["groups"],
            "difference": {key: pair["difference"][key] for key in ("accuracy", "macro_f1", "macro_auroc")},
            "mcnemar": pair["mcnemar"],
            "mcnemar_by_patient": pair["mcnemar_by_patient"],
        }
        for pair in comparison["pairs"]
    ]
    return {"name": name, "unit": "shares of 1", "rows": rows, "notes": comparison["notes"]}


def of_unit(unit: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of cases or of patients, each with its interval."""
    return {shown: unit["overall"][key] for shown, key in (FIGURES | MORE).items()}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {shown: values[key] for shown, key in (FIGURES | MORE).items()}


def _bundle(model: str) -> Bundle | None:
    try:
        return registry.bundle(model)
    except MonaiBrainError:
        return None


def _value(settings: Mapping[str, Any], key: str) -> Any:
    place: Any = settings
    for step in key.split("#"):
        if not isinstance(place, dict) or step not in place:
            return None
        place = place[step]
    return place


def as_text(table: Mapping[str, Any]) -> str:
    """A table as lines of text: our figures with intervals, the paper's in brackets."""
    lines = [table["name"]]
    cells = [[""]]
    for row in table["rows"]:
        cells_of_row = row.get("ours") or row.get("difference") or {}
        shown = {key: cell for key, cell in cells_of_row.items() if not isinstance(cell, str | list)}
        paper = row.get("paper") or {}
        title = row["name"] + (f", {row['class']}" if "class" in row else "")
        cells[0] += [key for key in shown if key not in cells[0]]
        cells.append([title, *(_shown(shown.get(key), paper.get(key)) for key in cells[0][1:])])
    width = len(cells[0])
    cells = [[*row, *[""] * (width - len(row))] for row in cells]
    widths = [max(len(row[column]) for row in cells) for column in range(width)]
    lines += [
        "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in cells
    ]
    if any(row.get("paper") for row in table["rows"]):
        lines.append("In brackets: the paper's.")
    return "\n".join([*lines, *table.get("notes", []), ""])


def plan_as_text(planned: Mapping[str, Any]) -> str:
    """A plan as lines of text."""
    lines = [
        f"{line['job']:>4}  {line['name']}  {line['state']}  {line['hours']:.3g} h"
        f"  {line['disk_mib']:.0f} MiB"
        + (f"  {line['gpu_memory_mib']:.0f} MiB of GPU memory" if line["gpu_memory_mib"] is not None else "")
        for line in planned["jobs"]
    ]
    total = f"{planned['hours_left']:.3g} h left one after another, {planned['disk_mib']:.0f} MiB"
    return "\n".join([*lines, f"{total}, on {planned['device']}; {planned['timed_steps']} steps were timed."])


def _shown(ours: Any, paper: Any) -> str:
    beside = "" if paper is None else f" [{paper:.4g}]"
    if isinstance(ours, Mapping):
        value = ours.get("value", ours.get("difference"))
        if value is None:
            return "n/a" + beside
        interval = "" if ours.get("low") is None else f" ({ours['low']:.3f} to {ours['high']:.3f})"
        return f"{value:.3f}{interval}{beside}"
    if ours is None:
        return "n/a" + beside if paper is not None else "n/a"
    return (f"{ours:.4g}" if isinstance(ours, float) else str(ours)) + beside
