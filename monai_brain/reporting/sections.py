"""The sections of the page, from what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_brain.reporting import cases, claim, data_card, methods, model_card, tables, words
from monai_brain.reporting.axes import WIDTH
from monai_brain.reporting.drawing import Drawing, figure
from monai_brain.reporting.evidence import Evidence
from monai_brain.reporting.findings import Findings
from monai_brain.reporting.markup import Markup, joined, tag
from monai_brain.reporting.sheet import Estimate, html

TITLES = {
    "summary": "Summary",
    "results": "Results",
    "curves": "Curves",
    "cases": "Cases",
    "data": "Data card",
    "model": "Model card",
    "paper": "For your paper",
    "claim": "CLAIM checklist",
    "manifest": "Manifest",
}
_LEAKAGE = "Leakage"  # how the judge's note on it begins


def all_sections(found: Findings, pictures: Mapping[str, str], evidence: Evidence) -> dict[str, Markup]:
    """Every section of the page by its anchor."""
    return {
        "summary": _summary(found),
        "results": _results(found),
        "curves": _curves(found.drawings),
        "cases": _cases(found, pictures, evidence),
        "data": _data(found),
        "model": _model(found),
        "paper": _paper(evidence),
        "claim": claim.html(*claim.checklist(evidence)),
        "manifest": _manifest(found),
    }


def alert(metrics: Mapping[str, Any]) -> Markup:
    """The mark of leakage, which stands above everything; empty without it."""
    if not metrics["leakage"]:
        return Markup("")
    says = [note for note in metrics["notes"] if note.startswith(_LEAKAGE)] or [
        f"{_LEAKAGE}: {metrics['leakage']}."
    ]
    return tag("p", *says, class_="leakage", role="alert")


def _summary(found: Findings) -> Markup:
    metrics = found.arm.metrics
    notes = [note for note in metrics["notes"] if not note.startswith(_LEAKAGE)]
    notes += found.remarks
    listed = tag("ul", *(tag("li", note) for note in notes), class_="notes") if notes else ""
    sentences = words.summary(metrics, found.source.manifest, found.arm.paper)
    tiles = tag("div", *(_tile(*tile) for tile in _tiles(metrics)), class_="tiles")
    more = tag("h3", "What to know about these figures") if notes else ""
    lead = 2 if metrics["by_patient"] is not None else 1
    prose = [tag("p", " ".join(sentences[:lead]), class_="lead"), tag("p", " ".join(sentences[lead:]))]
    return joined(tiles, tag("div", *prose, class_="prose"), more, listed)


def _tiles(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    unit, words_ = (
        ("by_patient", "by patient") if metrics["by_patient"] is not None else ("by_case", "by image")
    )
    overall = metrics[unit]["overall"]
    tiles = []
    third = "macro_auroc" if overall["macro_auroc"]["value"] is not None else "balanced_accuracy"
    for key in ("accuracy", "macro_f1", third):
        one, name = Estimate.of(overall[key]), tables.OVERALL[key]
        tiles.append((name, one.number, f"{one.between} {words_}".strip()))
    error = metrics["calibration"]["expected_calibration_error"]
    count = metrics["cases"]["measured"]
    groups = metrics["cases"]["groups"]
    tiles.append(("Calibration error", Estimate(error).number, "0 is best"))
    tiles.append(
        (
            "Images measured",
            f"{count:,}",
            f"of {groups:,} patients or groups" if groups else "patients not told",
        )
    )
    return tiles


def _tile(name: str, value: str, below: str) -> Markup:
    return tag("div", tag("span", name), tag("b", value), tag("small", below), class_="tile")


def _results(found: Findings) -> Markup:
    metrics = found.arm.metrics
    level = f"{100 * metrics['interval']['level']:g}{words.SPACE}%"
    how = (
        f"Under each figure its {level} interval, from {metrics['interval']['draws']} resamples of "
        + ("groups of images that belong together" if metrics["cases"]["groups"] else "images")
        + "."
    )
    parts: list[object] = [tag("p", how)]
    if found.arm.paper:
        parts.append(
            tag(
                "p",
                "The paper\u2019s figures were measured on its own images and split, not on the same cases.",
            )
        )
    parts += [figure(one) for one in found.drawings if one.name == "models"]
    if len(found.arms) > 1:
        parts.append(
            tag("p", f"The tables and curves below, where they show one model, show {found.arm.name}.")
        )
    for table in found.tables:
        parts.append(html(table))
        if table.name == "overall":
            parts.append(_confusions(metrics))
    return joined(*parts)


def _confusions(metrics: Mapping[str, Any]) -> Markup:
    matrices = [tables.confusion(metrics["by_case"], metrics["classes"], "by image")]
    if metrics["by_patient"] is not None:
        patients = metrics["by_patient"]
        says = f"by patient: {patients['rule_in_words']}"
        matrices.append(tables.confusion(patients, metrics["classes"], says))
    return joined(tag("h3", "Confusion"), tag("div", *matrices, class_="side"))


def _curves(drawings: Sequence[Drawing]) -> Markup:
    large = [one for one in drawings if one.name != "models" and one.width >= WIDTH]
    small = [one for one in drawings if one.name != "models" and one.width < WIDTH]
    parts: list[object] = [tag("div", *map(figure, large), class_="charts")]
    if small:
        parts += [
            tag("h3", "Under faults of growing severity"),
            tag("div", *map(figure, small), class_="charts small"),
        ]
    return joined(*parts)


def _cases(found: Findings, pictures: Mapping[str, str], evidence: Evidence) -> Markup:
    predictions = found.source.predictions
    labelled = int((predictions.label >= 0).sum())
    says = f"{len(predictions):,} rows, {labelled:,} with a label, {len(pictures):,} images shown. "
    says += "Failures stand first."
    maps = evidence.maps
    if maps.found:
        says += (
            f" {len(maps.found):,} have a Grad-CAM map at layer {maps.layer}: where the evidence for the "
            "named class lies, not whether it is right."
        )
    elif maps.says and pictures:
        says += f" {maps.says}"
    return joined(tag("p", says), cases.section(predictions, pictures, maps))


def _data(found: Findings) -> Markup:
    return joined(data_card.card(found.source, found.arm), html(data_card.counts(found.arm)))


def _model(found: Findings) -> Markup:
    return model_card.facts(model_card.model(found.source, found.arm), "Model card")


def _manifest(found: Findings) -> Markup:
    content = model_card.manifest(found.source)
    if not content:
        return tag("p", "No manifest stands beside the predictions.")
    return model_card.facts(content, "Manifest")


def _paper(evidence: Evidence) -> Markup:
    return joined(
        tag("p", "Only what the files of this run tell. Check it, and add what they cannot know."),
        _pasted("Methods", methods.paragraph(evidence), "methods"),
        _pasted("BibTeX", methods.bibtex(evidence), "bibtex"),
    )


def _pasted(title: str, content: str, name: str) -> Markup:
    copy = tag("button", "copy", type="button", data_copy=name, hidden=True, aria_label=f"copy {title}")
    text = tag("pre", content, id=name, tabindex="0", role="region", aria_label=title)
    return joined(tag("div", tag("h3", title), copy, class_="row"), text)
