"""The first lines of a report: what was found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Metrics = Mapping[str, Any]
SPACE = "\u00a0"  # between a number and its percent sign no line ends


def summary(metrics: Metrics, manifest: Metrics, stated: Metrics | None = None) -> list[str]:
    """Sentences on what the model got right, where it is weakest, and how far its probabilities hold.

    Args:
        metrics: the content of metrics.json.
        manifest: the run's manifest; empty where there is none.
        stated: the paper's figures as shares of 1.
    """
    by_case = metrics["by_case"]
    counts = by_case["confusion_matrix"]["counts"]
    cases, classes = metrics["cases"]["measured"], list(metrics["classes"])
    right = sum(counts[index][index] for index in range(len(classes)))
    level = f"{100 * metrics['interval']['level']:g}{SPACE}%"
    split = f"{metrics['split']} " if metrics["split"] else ""
    says = [
        f"Of {cases} {split}images the model named the right class for {right}, {_accuracy(by_case, level)}."
    ]
    if metrics["by_patient"] is not None:
        patients = metrics["by_patient"]
        says.append(
            f"Of {patients['cases']} patients it named the right class for {_accuracy(patients, level)}."
        )
    says.append(_beside_paper(by_case["overall"]["accuracy"], stated or {}))
    totals = [sum(row) for row in counts]
    often = totals.index(max(totals))
    says.append(
        f"Naming the most frequent class every time, {classes[often]}, would be right for "
        f"{percent(totals[often] / cases)}."
    )
    says += [_classes(by_case["per_class"]), _mistake(counts, classes), _sureness(metrics["calibration"])]
    says.append(_trained(manifest.get("outcome") or {}))
    return [sentence for sentence in says if sentence]


def percent(share: float | None) -> str:
    """A share as a percentage of one decimal."""
    return "n/a" if share is None else f"{100 * share:.1f}{SPACE}%"


def _accuracy(unit: Metrics, level: str) -> str:
    figure = unit["overall"]["accuracy"]
    if figure["low"] is None:
        return percent(figure["value"])
    return (
        f"{percent(figure['value'])} ({level} interval {percent(figure['low'])} to {percent(figure['high'])})"
    )


def _beside_paper(found: Metrics, stated: Metrics) -> str:
    claimed = stated.get("accuracy")
    if claimed is None:
        return ""
    points = 100 * (found["value"] - claimed)
    beside = "above" if points > 0 else "below"
    where = f"{abs(points):.1f} points {beside} it" if abs(points) >= 0.05 else "the same"
    if found["low"] is not None:
        where += ", which the interval " + (
            "holds" if found["low"] <= claimed <= found["high"] else "does not hold"
        )
    return f"The paper states {100 * claimed:.2f}{SPACE}% on its own split; the figure here is {where}."


def _classes(per_class: Metrics) -> str:
    recalls = {name: figures["recall"]["value"] for name, figures in per_class.items() if figures["cases"]}
    best, worst = max(recalls, key=recalls.__getitem__), min(recalls, key=recalls.__getitem__)
    if recalls[best] == recalls[worst]:
        return f"It finds {percent(recalls[best])} of every class."
    said = [f"{percent(recalls[name])} of {per_class[name]['cases']} {name}" for name in (best, worst)]
    return f"It finds most of {best} ({said[0]}) and least of {worst} ({said[1]})."


def _mistake(counts: list[list[int]], classes: list[str]) -> str:
    wrong = {
        (row, column): count
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
        if row != column
    }
    if not any(wrong.values()):
        return "It made no mistake."
    (row, column), count = max(wrong.items(), key=lambda entry: entry[1])
    times = "once" if count == 1 else f"{count} times"
    return f"Its most frequent mistake, made {times}: {classes[row]} is named {classes[column]}."


def _sureness(calibration: Metrics) -> str:
    bins = [one for one in calibration["reliability"] if one["cases"]]
    total = sum(one["cases"] for one in bins)
    sure = sum(one["cases"] * one["confidence"] for one in bins) / total
    right = sum(one["cases"] * one["accuracy"] for one in bins) / total
    error = calibration["expected_calibration_error"]
    return (
        f"On average it gives the class it names a probability of {percent(sure)} and is right for "
        f"{percent(right)} (calibration error {error:.3f})."
    )


def _trained(outcome: Metrics) -> str:
    if not {"epochs", "best_epoch", "selected_on"} <= outcome.keys():
        return ""
    epochs = f"{outcome['epochs']} epoch{'' if outcome['epochs'] == 1 else 's'}"
    return (
        f"It was trained for {epochs}; the weights are those of epoch "
        f"{outcome['best_epoch']}, selected on {outcome['selected_on']}."
    )
