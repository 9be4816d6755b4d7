"""Transfer: a trained model on images from elsewhere, none of which it was trained on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.data import datalist as datalists
from monai_brain.data.duplicates import copy_of, near_duplicates
from monai_brain.data.formats import read_item
from monai_brain.data.schema import Datalist, Item, called
from monai_brain.errors import ConfigurationError, DataError
from monai_brain.evaluation import predictions as files
from monai_brain.evaluation.coverage import coverage_curve
from monai_brain.evaluation.judge import evaluate
from monai_brain.files import read_json, sha256, write_json
from monai_brain.inference.predict import Predictor
from monai_brain.training import run_folder
from monai_brain.training.experiments import folder, judging, partitions, tables
from monai_brain.training.experiments.folder import TABLES_FILE
from monai_brain.training.workflow import Side

KIND = "transfer"


def transfer(
    model: str | os.PathLike[str] | Bundle,
    datalist: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    rename: Mapping[str, str] | None = None,
    trained_on: str | os.PathLike[str] | None = None,
    keep_duplicates: bool = False,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    progress: bool | None = False,
) -> Path:
    """Judge a trained model on another datalist; gives the folder with predictions, figures and tables.

    Classes meet by name. Images of classes that the model does not know are left out, and so are near
    duplicates of its training images, both counted. The result holds accuracy by coverage: what the model
    is worth if it answers only where it is sure.

    Args:
        model: a run folder, a cross-validation's folder, a bundle with weights, or such a one's name.
        datalist: the other images; its folds do not matter.
        output: the experiment's folder; by default ./runs/transfer/MODEL.
        rename: class names of the datalist on the left, the model's on the right.
        trained_on: the datalist that the model was trained on; by default the one that its run names.
        keep_duplicates: do not look for copies of training images, and say so.
        weights: a .pt file or a run folder instead of the model's own weights.
        device: "cuda", "cpu"; by default the GPU where there is one.
        progress: True or False for a bar, None for one on a terminal.

    Raises:
        ConfigurationError: Nothing tells what the model was trained on.
        DataError: No image is left, or none can be read.
        MonaiBrainError: Whatever is wrong with the model.
    """
    predictor = Predictor(model, weights, device)
    bundle = predictor.bundle
    content = partitions.named(datalist)
    items, unknown = _known(content, bundle.labels, rename or {})
    copies: list[dict[str, str]] = []
    notes = []
    if keep_duplicates:
        notes.append("Copies of training images were not looked for: the figures may be too good.")
    else:
        items, copies = _without_copies(items, _training_images(bundle, trained_on))
    if not items:
        raise DataError(
            f"{content['name']}: no image is left: {unknown} of other classes, {len(copies)} copies."
        )
    facts = {
        "model": bundle.name,
        "variant": bundle.facts.get("variant") or None,
        "datalist": {"name": content["name"], "sha256": sha256(datalist)},
        "weights_sha256": predictor.weights_sha256,
        "images": len(items),
        "left_out_of_other_classes": dict(unknown),
        "copies_of_training_images": copies if not keep_duplicates else None,
        "leakage": None,
        "controls": [],
        "paper": bundle.facts.get("paper"),
    }
    root = Path(output) if output is not None else Path("runs") / KIND / bundle.name
    experiment = folder.begin(root, KIND, [], facts, {})
    found, failures = judging.judge(predictor, judging.named(items), progress)
    if found is None:
        raise DataError(f"{content['name']}: none of {len(items)} images could be read: {failures[0].reason}")
    found = found.replaced(fold=None, repeat=None)
    files.write(found, experiment.root / run_folder.PREDICTIONS_FILE)
    if unknown:
        said = ", ".join(f"{count} {name}" for name, count in sorted(unknown.items()))
        notes.append(f"Left out, since the model does not know their classes: {said}.")
    if copies:
        notes.append(f"{len(copies)} images are left out as near duplicates of training images.")
    metrics = evaluate(found, notes=notes)
    curve = coverage_curve(found)
    metrics |= {"kind": KIND, "coverage": curve, "failures": [vars(failure) for failure in failures]}
    write_json(experiment.root / run_folder.JUDGEMENT_FILE, metrics)
    write_json(
        experiment.root / TABLES_FILE,
        {"schema_version": 1, "tables": [_table(bundle, content, metrics), _coverage(curve)], "curves": []},
    )
    experiment.save(collected=True)
    return experiment.root


def _known(
    content: Datalist, labels: Sequence[str], rename: Mapping[str, str]
) -> tuple[list[Item], Counter[str]]:
    """The items whose class the model knows, with their index among its labels, and how many are not."""
    odd = [name for name in rename.values() if name not in labels]
    if odd:
        raise ConfigurationError(f"--map ...={odd[0]}: the model knows {', '.join(labels)}.")
    items, unknown = [], Counter[str]()
    for item in datalists.part(content, None, "test"):
        name = rename.get(item["class_name"], item["class_name"])
        if name in labels:
            items.append({**item, "class_name": name, "label": list(labels).index(name)})
        else:
            unknown[name] += 1
    return items, unknown


def _training_images(bundle: Bundle, trained_on: str | os.PathLike[str] | None) -> list[Item]:
    """What the model has seen: the training and validation images of its run, or of all its members.

    Raises:
        ConfigurationError: Nothing tells.
    """
    if trained_on is not None:
        return datalists.part(trained_on, None, "test")
    found: dict[str, Item] = {}
    for run in [bundle.root / member for member in bundle.facts.get("members", ["."])]:
        recipe = run / "configs" / "train.json"
        config = read_json(recipe) if (run / run_folder.MANIFEST_FILE).is_file() and recipe.is_file() else {}
        if not Path(str(config.get("datalist", ""))).is_file():
            raise ConfigurationError(
                f"Nothing tells what {bundle.name} was trained on, so copies of it cannot be found. Name its "
                "datalist by --trained-on FILE, or let copies stay by --keep-duplicates."
            )
        fold = config["fold"] if isinstance(config.get("fold"), int) else None
        sides: tuple[Side, ...] = ("train", "validation") if fold is not None else ("train",)
        for side in sides:
            for item in datalists.part(config["datalist"], fold, side):
                found[called(item)] = item
    return list(found.values())


def _without_copies(items: Sequence[Item], seen: Sequence[Item]) -> tuple[list[Item], list[dict[str, str]]]:
    """The items that resemble no training image under flips and quarter turns, and the copies among them."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        small = list(pool.map(lambda item: copy_of(read_item(item)), [*seen, *items]))
    of: dict[int, dict[str, str]] = {}
    for pair in near_duplicates(small):
        if pair.first < len(seen) <= pair.second and pair.second not in of:
            copy = items[pair.second - len(seen)]
            of[pair.second] = {
                "case": called(copy),
                "copy_of": Path(seen[pair.first]["image"]).name,
                "turn": pair.turn,
            }
    kept = [item for number, item in enumerate(items, len(seen)) if number not in of]
    return kept, [of[number] for number in sorted(of)]


def _table(bundle: Bundle, content: Datalist, metrics: Mapping[str, Any]) -> dict[str, Any]:
    variant = tables.as_variant(bundle, bundle.facts.get("variant") or None)
    beside = tables.paper_row(tables.paper_rows(bundle), bundle.name, variant) or {}
    paper = {"accuracy": beside["accuracy_other_data"]} if "accuracy_other_data" in beside else None
    row = {
        "name": content["name"] or "other data",
        "model": bundle.name,
        "variant": variant,
        "ours": tables.of_unit(metrics["by_case"]),
        "paper": paper,
    }
    return {"name": "Other data", "unit": "shares of 1", "rows": [row]}


def _coverage(curve: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        {
            "name": f"the surest {point['coverage']:.0%}",
            "ours": {key: point[key] for key in ("cases", "threshold", "accuracy")},
        }
        for point in curve["points"]
    ]
    return {"name": "Accuracy by coverage", "unit": "shares of 1", "rows": rows}
