"""metrics.json as a short table for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

WIDTH = 100

_OVERALL = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_precision": "precision, macro",
    "macro_recall": "recall, macro",
    "macro_specificity": "specificity, macro",
    "macro_f1": "F1, macro",
    "macro_auroc": "AUROC, macro",
    "mcc": "MCC",
}
_PER_CLASS = {
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "f1": "F1",
    "auroc": "AUROC",
}


def summary(metrics: dict[str, Any]) -> str:
    """The figures by case and by patient, those of each class, and the notes, as lines of text."""
    cases = metrics["cases"]
    parts = [metrics["model"], metrics["variant"], metrics["split"], f"{cases['measured']} cases"]
    if cases["groups"] is not None:
        parts.append(f"{cases['groups']} groups")
    lines = [" · ".join(part for part in parts if part), ""]
    units = {"by case": metrics["by_case"]}
    if metrics["by_patient"] is not None:
        units[f"by patient ({metrics['by_patient']['rule']})"] = metrics["by_patient"]
    level = f"{metrics['interval']['level']:.0%} interval"
    rows = [[level, *units]]
    for name, words in _OVERALL.items():
        rows.append([words, *(_figure(unit["overall"][name]) for unit in units.values())])
    if metrics["by_fold"] is not None:
        fold = metrics["by_fold"]
        rows[0].append(f"mean of {len(fold['folds'])} folds (sd)")
        for row, name in zip(rows[1:], _OVERALL, strict=True):
            row.append(_spread(fold["mean"][name], fold["standard_deviation"][name]))
    lines += _aligned(rows)
    rows = [["class", "cases", *_PER_CLASS.values()]]
    for name, found in metrics["by_case"]["per_class"].items():
        rows.append([name, str(found["cases"]), *(_number(found[key]["value"]) for key in _PER_CLASS)])
    lines += ["", *_aligned(rows)]
    calibration = metrics["calibration"]
    lines += ["", f"Calibration error {_number(calibration['expected_calibration_error'])}, "
              f"Brier {_number(calibration['brier'])}"]  # fmt: skip
    for note in metrics["notes"]:
        lines += textwrap.wrap(note, WIDTH, initial_indent="! ", subsequent_indent="  ")
    return "\n".join(lines) + "\n"


def by_subgroup(metrics: dict[str, Any]) -> str:
    """The figures of each subgroup, as lines of text."""
    rows = [["subgroup", "cases", "accuracy", "F1, macro", "AUROC, macro"]]
    for column, values in metrics["subgroups"].items():
        for value, found in values.items():
            overall = (_figure(found["overall"][name]) for name in ("accuracy", "macro_f1", "macro_auroc"))
            rows.append([f"{column} {value}", str(found["cases"]), *overall])
    return "\n".join(_aligned(rows)) + "\n"


def _figure(figure: dict[str, Any]) -> str:
    if figure["low"] is None:
        return _number(figure["value"])
    return f"{_number(figure['value'])} ({_number(figure['low'])}-{_number(figure['high'])})"


def _spread(mean: float | None, deviation: float | None) -> str:
    return _number(mean) if deviation is None else f"{_number(mean)} ({_number(deviation)})"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
