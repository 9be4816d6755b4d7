"""The table of cases: all of them as data for the page's script, the first of them as HTML without it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from monai_brain.evaluation.prediction_columns import NONE
from monai_brain.evaluation.predictions import Predictions
from monai_brain.reporting.heat import SIDE, Maps
from monai_brain.reporting.markup import Markup, joined, tag
from monai_brain.reporting.pictures import names as pictures_called
from monai_brain.reporting.sheet import scrolling

ROWS = 50  # of one page of the table
_DIGITS = 4
_TEXTS = ("case", "patient_id", "split", "source", "plane")
_NUMBERS = ("fold", "repeat")
COLUMNS = (  # key in the script, name, kind, whether a phone has room for it
    ("picture", "Image", "", True),
    ("case", "Case", "text", True),
    ("patient_id", "Patient", "text", False),
    ("split", "Split", "text", False),
    ("fold", "Fold", "number", False),
    ("arm", "Model", "text", False),
    ("label", "True class", "text", True),
    ("predicted", "Named", "text", True),
    ("confidence", "Probability", "number", True),
    ("verdict", "Verdict", "text", True),
)


def order(predictions: Predictions) -> list[int]:
    """The rows, failures first: mistakes by how sure the model was, abstained, unlabelled, right."""
    sure = predictions.probs[np.arange(len(predictions)), predictions.predicted]
    wrong = (predictions.label != predictions.predicted) & (predictions.label != NONE)
    rank = np.where(wrong & ~predictions.abstain, 0, np.where(predictions.abstain, 1, 2))
    return [int(row) for row in np.lexsort((np.arange(len(sure)), -sure, rank))]


def arms(predictions: Predictions) -> list[str]:
    """The name of each row's model: of its variant, where all are of one model."""
    one = len(set(predictions.model.tolist())) == 1
    pairs = zip(predictions.model.tolist(), predictions.variant.tolist(), strict=True)
    return [variant if one and variant else f"{model} {variant}".strip() for model, variant in pairs]


def data(predictions: Predictions, pictures: Mapping[str, str], maps: Maps) -> dict[str, Any]:
    """What the page's script shows, as JSON takes it; a column of one value only is stated once."""
    content: dict[str, Any] = {"rows": len(predictions), "classes": list(predictions.classes)}
    for name in (*_TEXTS, *_NUMBERS):
        values = getattr(predictions, name)
        if name != "case" and len(np.unique(values)) <= 1:
            content[name] = values[0].item() if len(values) else ""
        else:
            content[name] = values.tolist()
    content["label"] = predictions.label.tolist()
    content["predicted"] = predictions.predicted.tolist()
    content["abstain"] = predictions.abstain.astype(int).tolist()
    content["probs"] = [[round(one, _DIGITS) for one in row] for row in predictions.probs.tolist()]
    content["order"] = order(predictions)
    place = {name: index for index, name in enumerate(pictures)}
    content["pictures"] = list(pictures.values())
    content["picture"] = [place.get(name, NONE) for name in pictures_called(predictions)]
    content["arm"] = arms(predictions)
    content["maps"] = {str(row): cells for row, cells in maps.found.items()}
    content["side"] = SIDE
    content["page"] = ROWS
    return content


def section(predictions: Predictions, pictures: Mapping[str, str], maps: Maps) -> Markup:
    """The controls, the table with its first rows, what opens when a case is chosen, and the data."""
    columns = [column for column in COLUMNS if _shown(column[0], predictions, pictures)]
    header = [_head(key, name, kind, phone) for key, name, kind, phone in columns]
    keys = [key for key, *_ in columns]
    names = arms(predictions)
    rows = [_row(predictions, row, keys, names[row]) for row in order(predictions)[:ROWS]]
    table = tag("table", tag("thead", tag("tr", *header)), tag("tbody", *rows), id="case-table")
    # Data inside a script element: only what could end the element must be hidden from the parser.
    content = json.dumps(data(predictions, pictures, maps), separators=(",", ":"), allow_nan=False)
    hidden = Markup(content.replace("<", "\\u003c"))
    return joined(
        _controls(predictions, maps),
        scrolling(table, "Cases"),
        _pager(),
        tag("noscript", tag("p", f"Without scripts the first {ROWS} cases stand here, failures first.")),
        _dialog(),
        tag("script", hidden, type="application/json", id="case-data"),
    )


def _shown(key: str, predictions: Predictions, pictures: Mapping[str, str]) -> bool:
    if key == "picture":
        return bool(pictures)
    if key == "arm":
        return len(set(predictions.model.tolist())) > 1 or len(set(predictions.variant.tolist())) > 1
    if key in ("patient_id", "split", "fold"):
        return len(np.unique(getattr(predictions, key))) > 1
    return True


def _head(key: str, name: str, kind: str, phone: bool) -> Markup:
    words = tag("button", name, type="button") if kind else name
    classes = " ".join(filter(None, ("num" if kind == "number" else "", "" if phone else "wide")))
    return tag("th", words, scope="col", data_key=key, data_kind=kind or None, class_=classes or None)


def _row(predictions: Predictions, index: int, keys: Sequence[str], arm: str) -> Markup:
    row = predictions[index]
    verdict = (
        "abstained"
        if row.abstain
        else ""
        if not row.label
        else "right"
        if row.label == row.predicted
        else "wrong"
    )
    cells: dict[str, object] = {
        "picture": "",
        "patient_id": row.patient_id,
        "split": row.split,
        "fold": "" if row.fold is None else row.fold,
        "arm": arm,
        "label": row.label,
        "predicted": row.predicted,
        "confidence": f"{row.probs[row.predicted]:.3f}",
        "verdict": verdict,
    }
    made = [
        tag("th", row.case, scope="row")
        if key == "case"
        else tag("td", cells[key], class_=_class(key, verdict))
        for key in keys
    ]
    return tag("tr", *made)


def _class(key: str, verdict: str) -> str | None:
    if key == "verdict":
        return f"verdict {verdict}"
    names = {"patient_id": "wide", "split": "wide", "arm": "wide", "fold": "num wide", "confidence": "num"}
    return names.get(key)


def _controls(predictions: Predictions, maps: Maps) -> Markup:
    classes = [tag("option", name, value=index) for index, name in enumerate(predictions.classes)]
    made = [
        tag("label", "Find ", tag("input", type="search", id="find", placeholder="case or patient")),
        _select("true class", "label", classes),
        _select("named", "predicted", classes),
    ]
    splits = sorted(set(predictions.split.tolist()) - {""})
    if len(splits) > 1:
        made.append(_select("split", "split", [tag("option", name, value=name) for name in splits]))
    names = list(dict.fromkeys(arms(predictions)))
    if len(names) > 1:
        made.append(_select("model", "arm", [tag("option", name, value=name) for name in names]))
    made += [
        tag("label", "probability from ", _number("from", 0), class_="short"),
        tag("label", "to ", _number("to", 1), class_="short"),
        tag("label", tag("input", type="checkbox", id="wrong"), " mistakes only", class_="tick"),
    ]
    if maps.found:
        switch = tag("input", type="checkbox", id="overlay", role="switch")
        made.append(tag("label", switch, " Grad-CAM", class_="tick switch"))
    made += [tag("button", "reset", type="button", id="clear"), tag("output", "", id="count")]
    return tag("form", *made, class_="controls", hidden=True, aria_label="Choose cases")


def _select(words: str, name: str, options: Sequence[Markup]) -> Markup:
    return tag("label", f"{words} ", tag("select", tag("option", "all", value=""), *options, id=f"by-{name}"))


def _number(name: str, value: int) -> Markup:
    return tag("input", type="number", id=name, min=0, max=1, step="0.05", value=value)


def _pager() -> Markup:
    return tag(
        "nav",
        tag("button", "previous", type="button", id="previous"),
        tag("span", "", id="place", role="status"),
        tag("button", "next", type="button", id="next"),
        class_="pager",
        hidden=True,
        aria_label="Pages of the table",
    )


def _dialog() -> Markup:
    close = tag("button", "close", type="button", id="close")
    moves = [
        tag("button", words, type="button", id=name)
        for name, words in (("before", "\u2190 before"), ("after", "after \u2192"))
    ]
    head = tag("header", tag("h3", "", id="case-name"), tag("span", *moves, close, class_="moves"))
    body = tag("div", tag("div", "", id="case-picture"), tag("div", "", id="case-facts"), class_="case-body")
    return tag("dialog", head, body, id="case", aria_labelledby="case-name")
