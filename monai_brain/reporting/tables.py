"""The tables of a report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from monai_brain.reporting import paper
from monai_brain.reporting.arms import Arm
from monai_brain.reporting.markup import Markup, joined, tag
from monai_brain.reporting.sheet import Estimate, Table, bars_from, number, scrolling
from monai_brain.reporting.words import percent

Metrics = Mapping[str, Any]

OVERALL = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_precision": "Precision, macro",
    "macro_recall": "Recall (sensitivity), macro",
    "macro_specificity": "Specificity, macro",
    "macro_f1": "F1, macro",
    "macro_auroc": "AUROC, macro",
    "macro_average_precision": "Average precision, macro",
    "mcc": "Matthews correlation",
    "kappa": "Cohen\u2019s kappa",
}
PER_CLASS = {
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "Avg. precision",
}
BESIDE = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc")
_PAPER_DIGITS = 4


def overall(arm: Arm) -> Table:
    """The figures of all classes together: by image, by patient, over folds, and the paper's."""
    metrics = arm.metrics
    units = {"By image": metrics["by_case"]}
    if metrics["by_patient"] is not None:
        units["By patient"] = metrics["by_patient"]
    folds = metrics["by_fold"]
    header = ["Figure", *units]
    header += [f"Mean of {len(folds['folds'])} folds (SD)"] if folds else []
    header += ["Paper"] if arm.paper else []
    rows = []
    for name, words in OVERALL.items():
        cells: list[object] = [words, *(Estimate.of(unit["overall"][name]) for unit in units.values())]
        if folds:
            cells.append(_spread(folds["mean"][name], folds["standard_deviation"][name]))
        if arm.paper:
            stated = arm.paper.get(name)
            cells.append("" if stated is None else Estimate(stated, digits=_PAPER_DIGITS))
        rows.append(cells)
    table = Table("overall", "All classes together", header, rows, bars=True)
    return replace(table, caption=f"All classes together; bars from {bars_from(table):g} to 1")


def per_class(arm: Arm, unit: str = "by_case") -> Table:
    """The figures of each class, with the paper's recall where it states one."""
    found = arm.metrics[unit]["per_class"]
    stated = paper.by_class(arm.bundle, arm.metrics["variant"], tuple(found))
    names = "images" if unit == "by_case" else "patients"
    header = [
        "Class",
        names.capitalize(),
        "Named",
        *PER_CLASS.values(),
        *(["Recall, paper"] if stated else []),
    ]
    rows: list[list[object]] = []
    for name, figures in found.items():
        cells: list[object] = [name, figures["cases"], figures["predicted"]]
        cells += [Estimate.of(figures[key]) for key in PER_CLASS]
        if stated:
            recall = stated[name].get("recall")
            cells.append("" if recall is None else Estimate(recall, digits=_PAPER_DIGITS))
        rows.append(cells)
    return Table(f"per_class_{names}", f"Each class against the others, by {names[:-1]}", header, rows)


def folds(arm: Arm) -> Table | None:
    """The figures of each fold; None where there are fewer than two."""
    spread = arm.metrics["by_fold"]
    if spread is None:
        return None
    columns = ("accuracy", "macro_precision", "macro_recall", "macro_specificity", "macro_f1")
    repeats = len({fold["repeat"] for fold in spread["folds"]}) > 1
    rows: list[list[object]] = []
    for fold in spread["folds"]:
        name = f"fold {fold['fold']}" + (f", repeat {fold['repeat']}" if repeats else "")
        rows.append([name, fold["cases"], *(_of(fold[column]) for column in columns)])
    for words, key in (("mean", "mean"), ("SD", "standard_deviation")):
        rows.append([words, "", *(_of(spread[key][column]) for column in columns)])
    if arm.paper:
        rows.append(["paper, mean", "", *(_stated(arm.paper.get(column)) for column in columns)])
    header = ["Fold", "Images", *(OVERALL[column] for column in columns)]
    return Table("folds", "Fold by fold, each by the model that was not trained on it", header, rows)


def subgroups(arm: Arm) -> Table | None:
    """Accuracy and macro F1 of each value of each column that was measured apart; None without any."""
    rows: list[list[object]] = [
        [f"{column}: {value}", part["cases"], *(Estimate.of(part["overall"][key]) for key in BESIDE[:3])]
        for column, values in arm.metrics["subgroups"].items()
        for value, part in values.items()
    ]
    header = ["Subgroup", "Images", *(OVERALL[key] for key in BESIDE[:3])]
    return Table("subgroups", "Subgroups", header, rows) if rows else None


def beside(found: Sequence[Arm]) -> Table:
    """Every arm on one line, by image, and the paper's accuracy beside it."""
    stated = any(arm.paper for arm in found)
    rows: list[list[object]] = []
    for arm in found:
        overall_ = arm.metrics["by_case"]["overall"]
        cells: list[object] = [arm.name, arm.metrics["cases"]["measured"]]
        cells += [Estimate.of(overall_[key]) for key in BESIDE]
        if stated:
            cells.append(_stated(arm.paper.get("accuracy")))
        rows.append(cells)
    header = ["Model", "Images", *(OVERALL[key] for key in BESIDE), *(["Accuracy, paper"] if stated else [])]
    return Table("models", "Models and variants on the same images", header, rows)


def differences(compared: Metrics) -> Table:
    """Every pair: the difference in accuracy with its interval, and the tests' corrected p-values."""
    rows: list[list[object]] = []
    for pair in compared["pairs"]:
        difference = pair["difference"]["accuracy"]
        cells: list[object] = [
            f"{pair['second']} minus {pair['first']}",
            Estimate(_sign(difference["difference"]), _sign(difference["high"]), _sign(difference["low"])),
            _p(difference.get("p_holm")),
            _p(pair["mcnemar"].get("p_holm")),
            _p((pair["mcnemar_by_patient"] or {}).get("p_holm")),
        ]
        rows.append(cells)
    header = [
        "Pair",
        "Difference in accuracy",
        "p, bootstrap",
        "p, McNemar by image",
        "p, McNemar by patient",
    ]
    return Table("differences", "Differences; p-values corrected over all pairs after Holm", header, rows)


def confusion(unit: Metrics, classes: Sequence[str], caption: str) -> Markup:
    """The confusion matrix, each cell shaded by its share of the true class."""
    rows = []
    for index, (name, counts) in enumerate(zip(classes, unit["confusion_matrix"]["counts"], strict=True)):
        total = sum(counts)
        cells = []
        for column, count in enumerate(counts):
            share = count / total if total else 0.0
            shown = joined(tag("b", count), tag("small", percent(share) if total else ""))
            kind = "right" if column == index else "wrong"
            cells.append(tag("td", shown, class_=f"share {kind}", style=f"--share:{share:.4f}"))
        rows.append(tag("tr", tag("th", name, scope="row"), *cells))
    head = tag("tr", tag("th", "True class"), *(tag("th", one, scope="col") for one in classes))
    inside = joined(tag("caption", caption), tag("thead", head), tag("tbody", *rows))
    return scrolling(tag("table", inside, class_="confusion"), f"Confusion matrix, {caption}")


def confusion_table(unit: Metrics, classes: Sequence[str]) -> Table:
    """The confusion matrix as counts."""
    counts = unit["confusion_matrix"]["counts"]
    rows = [[name, *line] for name, line in zip(classes, counts, strict=True)]
    return Table("confusion", "Confusion matrix; rows are the true class", ["True class", *classes], rows)


def slug(text: str) -> str:
    """A name of a file or an anchor."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "table"


def _spread(mean: float | None, deviation: float | None) -> str:
    return number(mean) if mean is None or deviation is None else f"{number(mean)} ({number(deviation)})"


def _of(value: float | None) -> object:
    return Estimate(value)


def _stated(value: float | None) -> object:
    return "" if value is None else Estimate(value, digits=_PAPER_DIGITS)


def _sign(value: float | None) -> float | None:
    """The difference the other way round: ours is the first minus the second."""
    return None if value is None else -value


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
