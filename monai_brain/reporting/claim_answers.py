"""What a run answers to the items of the CLAIM checklist: only what its files tell, never a guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monai_brain.evaluation.intervals import FEW_GROUPS
from monai_brain.reporting.evidence import Evidence
from monai_brain.reporting.model_card import paper
from monai_brain.reporting.source import KINDS
from monai_brain.reporting.words import percent


@dataclass(frozen=True)
class Answer:
    """What a run says to an item, and the section of the page that shows it."""

    text: str
    section: str


def _identification(given: Evidence) -> Answer | None:
    task = given.metadata.get("task")
    return Answer(f"To name: image classification by a neural network; {task}.", "model") if task else None


def _intended_use(given: Evidence) -> Answer | None:
    use = given.metadata.get("intended_use")
    return (
        Answer(f"Use as the model states it: {use} The background is the author\u2019s.", "model")
        if use
        else None
    )


def _goal(given: Evidence) -> Answer | None:
    if given.source.kind not in ("cross-validation", "ablation", "comparison", "transfer", "robustness"):
        return None
    return Answer(f"This is a {KINDS[given.source.kind]}.", "results")


def _data_source(given: Evidence) -> Answer | None:
    name = given.told.get("name") or (given.source.datalist or {}).get("name")
    return (
        Answer(f"Data set as named in the datalist: {name}. Sites and dates are the author\u2019s.", "data")
        if name
        else None
    )


def _preprocessing(given: Evidence) -> Answer | None:
    steps = (given.source.recipe.get("train") or {}).get("deterministic")
    if not isinstance(steps, list):
        return None
    names = [
        str(step["_target_"]).rsplit(".", 1)[-1]
        for step in steps
        if isinstance(step, dict) and "_target_" in step
    ]
    return Answer(f"In this order: {', '.join(names)}; from configs/train.json.", "model") if names else None


def _subsets(given: Evidence) -> Answer | None:
    fold = given.source.recipe.get("fold")
    return None if fold is None else Answer("Which images each fold takes stands in the datalist.", "data")


def _missing(given: Evidence) -> Answer | None:
    cases = given.arm.metrics["cases"]
    return Answer(
        f"{cases['unlabelled']} cases without a label and {cases['abstained']} abstained ones were left out "
        "of the figures. Missing clinical data are the author\u2019s.",
        "data",
    )


def _partitions(given: Evidence) -> Answer | None:
    scheme = given.told.get("scheme")
    if not scheme:
        return None
    folds, seed = given.told.get("folds"), given.told.get("seed")
    return Answer(f"Scheme \u201c{scheme}\u201d, {folds} folds, seed {seed}.", "data")


def _disjoint(given: Evidence) -> Answer | None:
    if given.arm.metrics["leakage"]:
        return Answer(f"Not apart by patient: {given.arm.metrics['leakage']}. Marked as leakage.", "data")
    if given.told.get("scheme") in ("patient", "holdout"):
        return Answer("By patient, and by groups of images that belong together.", "data")
    return None


def _network(given: Evidence) -> Answer | None:
    if not given.facts.get("parameters"):
        return None
    cited = paper(given.facts.get("paper"))
    return Answer(f"{given.facts['parameters']:,} parameters. {cited}", "model")


def _software(given: Evidence) -> Answer | None:
    packages = given.source.manifest.get("packages")
    if not isinstance(packages, dict):
        return None
    named = ", ".join(f"{name} {packages[name]}" for name in ("torch", "monai") if packages.get(name))
    return Answer(f"monai_brain {given.source.manifest.get('monai_brain')}, {named} and more.", "manifest")


def _initialisation(given: Evidence) -> Answer | None:
    start = given.source.recipe.get("start_weights")
    return Answer(f"start_weights: {model_start(str(start))}.", "model") if start else None


def model_start(start: str) -> str:
    """How the weights began; of a file only its name."""
    return start.replace("\\", "/").rsplit("/", 1)[-1]


def _training(given: Evidence) -> Answer | None:
    epochs, size = (given.source.recipe.get(key) for key in ("max_epochs", "batch_size"))
    if epochs is None:
        return None
    return Answer(f"{epochs} epochs at most, batches of {size}; all settings in configs/train.json.", "model")


def _selection(given: Evidence) -> Answer | None:
    chosen = (given.source.manifest.get("outcome") or {}).get("selected_on")
    return Answer(f"Weights of the best epoch by {chosen}.", "curves") if chosen else None


def _ensemble(given: Evidence) -> Answer | None:
    if not given.source.runs or not given.source.manifest:
        return None
    return Answer("None: each image is answered by one network.", "results")


def _metrics(given: Evidence) -> Answer | None:
    return Answer(
        "Accuracy, precision, recall, specificity, F1, AUROC, average precision, MCC, kappa, ECE, Brier.",
        "results",
    )


def _uncertainty(given: Evidence) -> Answer | None:
    interval, groups = given.arm.metrics["interval"], given.arm.metrics["cases"]["groups"]
    unit = f"{groups} groups" if groups else "images, taken as independent"
    few = f" Fewer than {FEW_GROUPS} groups: intervals may be too short." if interval["few_groups"] else ""
    return Answer(
        f"{100 * interval['level']:g}\u00a0% intervals, {interval['draws']} resamples of {unit}.{few}",
        "results",
    )


def _robustness(given: Evidence) -> Answer | None:
    if given.source.kind == "robustness":
        return Answer("Faults of graded severity.", "curves")
    if given.arm.metrics["subgroups"]:
        return Answer("By subgroup only; no faults were tried.", "results")
    return None


def _explainability(given: Evidence) -> Answer | None:
    count = len(given.maps.found)
    return Answer(f"Grad-CAM at {given.maps.layer} for {count} cases.", "cases") if count else None


def _internal(given: Evidence) -> Answer | None:
    if given.source.kind == "transfer" or given.arm.metrics["split"] != "test" or not given.source.runs:
        return None
    return Answer("Yes: images of the same datalist that were held out.", "results")


def _external(given: Evidence) -> Answer | None:
    if given.source.kind == "transfer":
        return Answer("Yes: on another datalist than the model was trained on.", "results")
    return Answer("Not in this run.", "results") if given.source.kind == "run" else None


def _flow(given: Evidence) -> Answer | None:
    return Answer(f"{given.arm.metrics['cases']['measured']} images measured.", "data")


def _performance(given: Evidence) -> Answer | None:
    found = given.arm.metrics["by_case"]["overall"]["accuracy"]
    return Answer(f"Accuracy {percent(found['value'])}; all others in the tables.", "results")


def _diagnostic(given: Evidence) -> Answer | None:
    return Answer("Sensitivity and specificity of each class with intervals.", "results")


def _failures(given: Evidence) -> Answer | None:
    rows = given.arm.measured
    wrong = int((rows.label != rows.predicted).sum())
    return Answer(f"{wrong} cases named wrongly, listed first; why is the author\u2019s.", "cases")


def _protocol(given: Evidence) -> Answer | None:
    cited = paper(given.facts.get("paper"))
    return (
        Answer(f"Of the method: {cited}. A protocol of this study is the author\u2019s.", "model")
        if cited
        else None
    )


def _availability(given: Evidence) -> Answer | None:
    licence = given.facts.get("licence")
    return (
        Answer(f"Software and model: {licence}. The data are the author\u2019s.", "model")
        if licence
        else None
    )


ANSWERS: dict[str, Callable[[Evidence], Answer | None]] = {
    "identification": _identification,
    "intended_use": _intended_use,
    "goal": _goal,
    "data_source": _data_source,
    "preprocessing": _preprocessing,
    "subsets": _subsets,
    "missing": _missing,
    "partitions": _partitions,
    "disjoint": _disjoint,
    "network": _network,
    "software": _software,
    "initialisation": _initialisation,
    "training": _training,
    "selection": _selection,
    "ensemble": _ensemble,
    "metrics": _metrics,
    "uncertainty": _uncertainty,
    "robustness": _robustness,
    "explainability": _explainability,
    "internal": _internal,
    "external": _external,
    "flow": _flow,
    "performance": _performance,
    "diagnostic": _diagnostic,
    "failures": _failures,
    "protocol": _protocol,
    "availability": _availability,
}
