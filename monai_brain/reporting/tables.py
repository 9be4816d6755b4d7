"""The tables of a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monai_brain.evaluation.predictions import Predictions
from monai_brain.reporting.markup import Markup, joined, tag
from monai_brain.reporting.plots import interval
from monai_brain.reporting.words import percent

Metrics = Mapping[str, Any]

OVERALL = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_precision": "precision, macro",
    "macro_recall": "recall (sensitivity), macro",
    "macro_specificity": "specificity, macro",
    "macro_f1": "F1, macro",
    "macro_auroc": "AUROC, macro",
    "macro_average_precision": "average precision, macro",
    "mcc": "Matthews correlation",
    "kappa": "Cohen's kappa",
}
PER_CLASS = {
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "average precision",
}


def table(header: Sequence[object], rows: Iterable[Sequence[object]], **attributes: object) -> Markup:
    """A table whose first column names the rows."""
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    head = tag("tr", *(tag("th", cell, scope="col") for cell in header))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), **attributes), class_="scroll")


def overall(metrics: Metrics) -> Markup:
    """The figures of all classes together, by case, by patient and over folds."""
    units = {"by image": metrics["by_case"]}
    if metrics["by_patient"] is not None:
        units["by patient"] = metrics["by_patient"]
    folds = metrics["by_fold"]
    header = ["figure", *units] + ([f"mean of {len(folds['folds'])} folds (sd)"] if folds else [])
    rows = []
    for name, words in OVERALL.items():
        cells: list[object] = [words, *(figure(unit["overall"][name]) for unit in units.values())]
        if folds:
            cells.append(_spread(folds["mean"][name], folds["standard_deviation"][name]))
        rows.append(cells)
    return table(header, rows, class_="overall")


def per_class(unit: Metrics) -> Markup:
    """The figures of each class."""
    rows = [
        [name, found["cases"], found["predicted"], *(figure(found[key]) for key in PER_CLASS)]
        for name, found in unit["per_class"].items()
    ]
    return table(["class", "cases", "named", *PER_CLASS.values()], rows)


def subgroups(metrics: Metrics) -> Markup:
    """Accuracy and macro F1 of each value of each column that was measured apart; empty without any."""
    rows = [
        [
            f"{column}: {value}",
            part["cases"],
            *(figure(part["overall"][key]) for key in ("accuracy", "macro_f1")),
        ]
        for column, values in metrics["subgroups"].items()
        for value, part in values.items()
    ]
    return table(["subgroup", "images", "accuracy", "F1, macro"], rows) if rows else Markup("")


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
    head = tag(
        "tr", tag("th", "true \\ named", scope="col"), *(tag("th", one, scope="col") for one in classes)
    )
    inside = joined(tag("caption", caption), tag("thead", head), tag("tbody", *rows))
    return tag("div", tag("table", inside, class_="confusion"), class_="scroll")


def cases(predictions: Predictions, pictures: Mapping[int, str]) -> Markup:
    """Every row of the predictions, with its picture where there is one; page.js sorts and filters it."""
    names = ("", "case", "patient", "split", "fold", "true class", "named", "probability", "")
    kinds = ("", "text", "text", "text", "number", "text", "text", "number", "text")
    header = [
        tag("th", tag("button", name, type="button") if name else "", scope="col", data_kind=kind or None)
        for name, kind in zip(names, kinds, strict=True)
    ]
    rows = [_case(predictions, index, pictures.get(index)) for index in range(len(predictions))]
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", *header)), tag("tbody", *rows), id="cases"),
        class_="scroll",
    )


def facts(content: Mapping[str, Any]) -> Markup:
    """Names and values, one in a row; what is nested is shown as JSON."""
    rows = [
        [key.replace("_", " "), tag("code", value if isinstance(value, str) else json.dumps(value))]
        for key, value in content.items()
        if value not in (None, "", [], {})
    ]
    return table(["", ""], rows, class_="facts")


def figure(found: Metrics) -> Markup:
    """A figure with its interval, in digits and as a picture; how the interval was made is its title."""
    value, low, high = found["value"], found["low"], found["high"]
    digits = "n/a" if value is None else f"{value:.3f}"
    between = "" if low is None else tag("small", f"{low:.3f} to {high:.3f}")
    return tag("span", digits, interval(value, low, high), between, title=found["method"], class_="figure")


def _spread(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return "n/a"
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ({deviation:.3f})"


def _case(predictions: Predictions, index: int, picture: str | None) -> Markup:
    row = predictions[index]
    known, right = bool(row.label), row.label == row.predicted
    verdict = "abstained" if row.abstain else ("" if not known else "right" if right else "wrong")
    image = tag("img", src=picture, alt="", loading="lazy", width=64, height=64) if picture else ""
    probability = row.probs[row.predicted]
    every = ", ".join(f"{name} {value:.3f}" for name, value in row.probs.items())
    return tag(
        "tr",
        tag("td", image),
        tag("th", row.case, scope="row"),
        tag("td", row.patient_id),
        tag("td", row.split),
        tag("td", "" if row.fold is None else row.fold),
        tag("td", row.label),
        tag("td", row.predicted),
        tag("td", f"{probability:.3f}", title=every, data_value=repr(probability)),
        tag("td", verdict, class_=verdict or None),
        data_verdict=verdict or None,
        data_split=row.split or None,
    )
