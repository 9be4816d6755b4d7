"""The data card: how many patients and images there were, where each went, and how they were split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from monai_brain.evaluation.patients import patient_names
from monai_brain.evaluation.predictions import Predictions
from monai_brain.reporting.arms import Arm
from monai_brain.reporting.markup import Markup, joined, tag
from monai_brain.reporting.sheet import Table
from monai_brain.reporting.source import Source

Step = tuple[str, int, int | None, str]  # what, images, patients where known, a remark
_SIDES = {"train": "Trained on", "validation": "Chosen by (validation)", "test": "Tested"}


def flow(source: Source, arm: Arm) -> list[Step]:
    """The way from the datalist to the measured cases, as far as the files tell it."""
    steps: list[Step] = []
    content, rows = source.datalist, arm.predictions
    if content is not None:
        items = [*content["training"], *content["testing"]]
        steps.append(("In the datalist", len(items), _patients(items), str(content.get("name") or "")))
        rejected = content.get("rejected")
        if isinstance(rejected, list) and rejected:
            steps.append(("Rejected when indexed", len(rejected), None, "unreadable or without a label"))
        fold = next((run.recipe.get("fold") for run in source.runs if run.recipe), None)
        if source.kind == "run" and isinstance(fold, int):
            trained = [i for i in content["training"] if i["fold"] != fold and fold not in i["validates"]]
            steps.append((_SIDES["train"], len(trained), _patients(trained), f"fold {fold}"))
    left = source.experiment.get("left_out_of_other_classes")
    if isinstance(left, dict) and left:
        steps.append(("Left out: other classes", sum(left.values()), None, ", ".join(map(str, left))))
    copies = source.experiment.get("copies_of_training_images")
    if isinstance(copies, list):
        steps.append(("Left out: copies of training images", len(copies), None, ""))
    for split, words in _SIDES.items():
        own = rows.subset(rows.split == split)
        if len(own):
            steps.append((words, len(own), _named(own), _folds(own)))
    if not (rows.split != "").any():
        steps.append(("In the predictions", len(rows), _named(rows), "no split is named"))
    cases = arm.metrics["cases"]
    left = [f"{cases[key]} {key}" for key in ("unlabelled", "abstained") if cases[key]]
    remark = "left out: " + ", ".join(left) if left else "none left out"
    steps.append(("Measured here", cases["measured"], _named(arm.measured), remark))
    return steps


def flow_html(steps: Sequence[Step]) -> Markup:
    """The flow as a list that reads from top to bottom."""
    entries: list[Markup] = []
    sides = [step for step in steps if step[0] in _SIDES.values()]
    for step in steps:
        if step in sides[1:]:
            continue  # stands beside the first
        if step in sides and len(sides) > 1:
            inside = tag("ul", *(tag("li", *_step(*side)) for side in sides))
            entries.append(tag("li", inside, class_="sides"))
        else:
            entries.append(tag("li", tag("div", *_step(*step))))
    return tag("ol", *entries, class_="flow")


def _step(what: str, images: int, patients: int | None, remark: str) -> list[Markup]:
    count = f"{images:,} images" + (f" of {patients:,} patients" if patients is not None else "")
    parts = [tag("span", what), tag("b", count)]
    return [*parts, tag("small", remark)] if remark else parts


def flow_table(steps: Sequence[Step]) -> Table:
    """The flow as a table."""
    rows = [
        [what, images, "" if patients is None else patients, remark]
        for what, images, patients, remark in steps
    ]
    return Table("flow", "Flow of patients and images", ["Step", "Images", "Patients", "Remark"], rows)


def counts(arm: Arm) -> Table:
    """Images and patients of each class in each split of the predictions."""
    rows = arm.predictions
    splits = [name for name in ("train", "validation", "test") if (rows.split == name).any()] or [""]
    header = ["Class"]
    for split in splits:
        header += [f"{split} images".strip().capitalize(), f"{split} patients".strip().capitalize()]
    body: list[list[object]] = []
    for index, name in [*enumerate(rows.classes), (None, "all")]:
        cells: list[object] = [name]
        for split in splits:
            chosen = rows.split == split
            own = rows.subset(chosen if index is None else chosen & (rows.label == index))
            named = _named(own)
            cells += [len(own), "not known" if named is None and len(own) else named or 0]
        body.append(cells)
    return Table("counts", "Images and patients of each class", header, body)


def split_in_words(source: Source, metrics: Mapping[str, Any]) -> list[str]:
    """Sentences on how the data were split, and what is not known of it."""
    told = source.manifest.get("datalist")
    told = told if isinstance(told, dict) else {}
    content: Mapping[str, Any] = source.datalist or {}
    scheme, folds = (told.get(key) or content.get(key) for key in ("scheme", "folds"))
    seed = told.get("seed", content.get("seed"))
    says = []
    if scheme:
        count = f" in {folds} folds" if folds else ""
        says.append(
            f"Split scheme \u201c{scheme}\u201d{count}" + (f", seed {seed}." if seed is not None else ".")
        )
    else:
        says.append("How the data were split is not recorded here.")
    if metrics["leakage"]:
        says.append(
            f"Marked: {metrics['leakage']}. Images of one patient stand on several sides of the split."
        )
    elif metrics["cases"]["groups"] is not None and scheme in ("patient", "holdout"):
        says.append("All images of one patient or group stand on one side.")
    if told.get("sha256"):
        says.append(f"SHA-256 of the datalist: {told['sha256']}")
    return says


def card(source: Source, arm: Arm) -> Markup:
    """The split in words beside the flow."""
    sentences = [tag("p", sentence) for sentence in split_in_words(source, arm.metrics)]
    return joined(*sentences, tag("h3", "Flow of patients and images"), flow_html(flow(source, arm)))


def _patients(items: Sequence[Mapping[str, Any]]) -> int | None:
    names = Counter(item.get("patient_id") or item.get("group") for item in items)
    unknown = names.pop(None, 0)
    return None if unknown else len(names)


def _named(rows: Predictions) -> int | None:
    names = patient_names(rows)
    return None if names is None else len(set(names.tolist()))


def _folds(rows: Predictions) -> str:
    numbers = sorted(set(rows.fold.tolist()) - {-1})
    if not numbers:
        return ""
    several = f"folds {numbers[0]} to {numbers[-1]}, pooled" if len(numbers) > 1 else f"fold {numbers[0]}"
    repeats = len(set(rows.repeat.tolist()))
    return several + (f", {repeats} repeats" if repeats > 1 else "")
