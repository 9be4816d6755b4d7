"""Robustness: how the accuracy of a trained model falls with faults of the image, grade by grade."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from monai.transforms.compose import Compose
from tqdm import tqdm

from monai_brain.bundles import Bundle
from monai_brain.data import datalist as datalists
from monai_brain.errors import ConfigurationError, DataError, UnknownNameError
from monai_brain.evaluation import predictions as files
from monai_brain.evaluation.intervals import figures
from monai_brain.evaluation.metrics import Sample
from monai_brain.evaluation.predictions import Predictions, put_together
from monai_brain.files import sha256, write_json
from monai_brain.inference import inputs
from monai_brain.inference.predict import Failure, Predictor, reason
from monai_brain.training import run_folder
from monai_brain.training.experiments import folder, judging, partitions
from monai_brain.training.experiments.folder import TABLES_FILE
from monai_brain.transforms import faults
from monai_brain.transforms.grey import ToGrey255d

KIND = "robustness"
_MEASURED = ("accuracy", "balanced_accuracy", "macro_f1")
_DRAWS = 1000


def robustness(
    model: str | os.PathLike[str] | Bundle,
    datalist: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    fold: int = 0,
    kinds: Sequence[str] | None = None,
    severities: Sequence[int] = faults.SEVERITIES,
    seed: int = 0,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    progress: bool | None = False,
) -> Path:
    """Judge a trained model on test images with faults of rising severity; gives the experiment's folder.

    Args:
        model: a run folder, a cross-validation's folder, a bundle with weights, or such a one's name.
        datalist: a datalist file with folds.
        output: the experiment's folder; by default ./runs/robustness/MODEL.
        fold: the fold whose test part is judged: the one that the model was not trained on.
        kinds: names of faults; by default all that befall the model's kind of image.
        severities: grades from 1 to 5.
        seed: of the faults.
        weights: a .pt file or a run folder instead of the model's own weights.
        device: "cuda", "cpu"; by default the GPU where there is one.
        progress: True or False for a bar, None for one on a terminal.

    Raises:
        UnknownNameError: There is no such fault.
        DataError: No image can be read.
        MonaiBrainError: Whatever is wrong with the model or the datalist.
    """
    predictor = Predictor(model, weights, device)
    bundle = predictor.bundle
    names = list(dict.fromkeys(kinds)) if kinds is not None else list(_usual(bundle))
    for name in names:
        if name not in faults.names():
            raise UnknownNameError("fault", name, faults.names())
    grades = sorted(set(severities))
    if not grades or not set(grades) <= set(faults.SEVERITIES):
        raise ConfigurationError(f"severities are {list(severities)}. Expected some of 1 to 5.")
    content = partitions.named(datalist)
    items = judging.named(datalists.part(content, fold, "test", bundle.labels))
    facts = {
        "model": bundle.name,
        "variant": bundle.facts.get("variant") or None,
        "datalist": {"name": content["name"], "sha256": sha256(datalist)},
        "fold": fold,
        "faults": names,
        "severities": grades,
        "seed": seed,
        "weights_sha256": predictor.weights_sha256,
        "leakage": content["leakage"],
        "controls": [],
        "paper": bundle.facts.get("paper"),
    }
    root = Path(output) if output is not None else Path("runs") / KIND / bundle.name
    experiment = folder.begin(root, KIND, [], facts, {})
    conditions = [("", 0), *((name, grade) for name in names for grade in grades)]
    found, failures = _judged(predictor, items, conditions, seed, progress)
    files.write(
        put_together([rows.replaced(fold=fold) for rows in found.values()]),
        experiment.root / run_folder.PREDICTIONS_FILE,
    )
    metrics = _metrics(found, names, grades) | {
        "schema_version": 1,
        "kind": KIND,
        "model": bundle.name,
        "variant": facts["variant"] or "",
        "leakage": content["leakage"],
        "failures": [vars(failure) for failure in failures],
    }
    write_json(experiment.root / run_folder.JUDGEMENT_FILE, metrics)
    write_json(
        experiment.root / TABLES_FILE, {"schema_version": 1, "tables": [_table(metrics)], "curves": []}
    )
    experiment.save(collected=True)
    return experiment.root


def _usual(bundle: Bundle) -> Sequence[str]:
    """The faults of the kind of image that the model takes."""
    image = bundle.metadata.get("network_data_format", {}).get("inputs", {}).get("image", {})
    return faults.names("MG" if image.get("modality") == "MG" else "MR")


def _judged(
    predictor: Predictor,
    items: Sequence[dict[str, Any]],
    conditions: Sequence[tuple[str, int]],
    seed: int,
    progress: bool | None,
) -> tuple[dict[tuple[str, int], Predictions], list[Failure]]:
    """The predictions under each condition; every image is read once, and then spoiled in every way."""
    head, tail = _parted(predictor)
    spoil = {
        (name, grade): faults.Faultd("image", name, grade, seed) if grade else None
        for name, grade in conditions
    }
    parts: dict[tuple[str, int], list[Predictions]] = {condition: [] for condition in conditions}
    failures: list[Failure] = []
    hidden = None if progress is None else not progress

    def read(item: dict[str, Any]) -> dict[Hashable, Any] | Failure:
        try:
            return dict(head({**inputs.named(item), "sha256": item.get("sha256", "")}))
        except Exception as error:  # noqa: BLE001  a file from anywhere can make a decoder raise anything
            return Failure(str(item["case"]), reason(error, item))

    def prepared(loaded: dict[Hashable, Any], condition: tuple[str, int]) -> torch.Tensor:
        fault = spoil[condition]
        image = tail(fault(dict(loaded)) if fault is not None else dict(loaded))["image"]
        plain = image.as_tensor() if hasattr(image, "as_tensor") else torch.as_tensor(image)
        return plain.contiguous()

    with (
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        tqdm(total=len(items) * len(conditions), unit="image", desc=KIND, disable=hidden) as bar,
    ):
        for batch in _batches(items, predictor.batch_size):
            loaded = list(pool.map(read, batch))
            failures += [one for one in loaded if isinstance(one, Failure)]
            good = [(item, one) for item, one in zip(batch, loaded, strict=True) if isinstance(one, dict)]
            for condition in conditions if good else ():
                images = list(pool.map(lambda pair, now=condition: prepared(pair[1], now), good))
                variant = f"{condition[0]}:{condition[1]}" if condition[1] else ""
                logits = predictor.logits(torch.stack(images))
                named = [{**item, "fault": condition[0], "severity": str(condition[1])} for item, _ in good]
                parts[condition].append(judging.rows(predictor, named, logits, variant))
                bar.update(len(batch))
    if not parts[conditions[0]]:
        raise DataError(f"None of {len(items)} images could be read: {failures[0].reason}")
    return {condition: put_together(rows) for condition, rows in parts.items()}, failures


def _batches(items: Sequence[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    for begin in range(0, len(items), size):
        yield list(items[begin : begin + size])


def _parted(predictor: Predictor) -> tuple[Compose, Compose]:
    """The preprocessing up to the grey scale, on which faults are defined, and what follows it."""
    steps = list(predictor.preprocess.transforms)
    places = [number for number, step in enumerate(steps) if isinstance(step, ToGrey255d)]
    if not places:
        raise ConfigurationError(
            f"{predictor.bundle.name}: faults are put in after ToGrey255d, which its preprocessing lacks."
        )
    return Compose(steps[: places[0] + 1]), Compose(steps[places[0] + 1 :])


def _metrics(
    found: dict[tuple[str, int], Predictions], names: Sequence[str], grades: Sequence[int]
) -> dict[str, Any]:
    clean = _figures([found["", 0]])
    curves = [
        {
            "fault": name,
            "points": [
                {"severity": 0, **clean},
                *({"severity": grade, **_figures([found[name, grade]])} for grade in grades),
            ],
            "mean": _figures([found[name, grade] for grade in grades]),
        }
        for name in names
    ]
    # Every condition has the same cases, so the accuracy of all rows together is the mean over conditions.
    spoiled = _figures([rows for (name, _), rows in found.items() if name])
    share = spoiled["accuracy"]["value"] / clean["accuracy"]["value"] if clean["accuracy"]["value"] else None
    rows = found["", 0]
    return {
        "classes": list(rows.classes),
        "cases": {
            "measured": len(rows),
            "groups": None if rows.groups is None else len(set(rows.groups.tolist())),
        },
        "clean": clean,
        "curves": curves,
        "mean_corruption_accuracy": spoiled["accuracy"],
        "mean_corruption": spoiled,
        "share_of_clean": share,
    }


def _figures(parts: Sequence[Predictions]) -> dict[str, Any]:
    rows = put_together(parts)
    # Under several faults a case stands several times: its copies are drawn together.
    groups = rows.groups if rows.groups is not None or len(parts) == 1 else rows.case
    measured = figures(Sample.of(rows, groups), grouped=groups is not None, ranking=False, draws=_DRAWS)
    return {name: measured.overall[name].as_json() for name in _MEASURED}


def _table(metrics: dict[str, Any]) -> dict[str, Any]:
    rows = [{"name": "no fault", "ours": {"mean": metrics["clean"]["accuracy"]}}]
    for curve in metrics["curves"]:
        by_grade = {
            f"severity {point['severity']}": point["accuracy"]["value"] for point in curve["points"][1:]
        }
        rows.append({"name": curve["fault"], "ours": {"mean": curve["mean"]["accuracy"], **by_grade}})
    rows.append({"name": "mean corruption accuracy", "ours": {"mean": metrics["mean_corruption_accuracy"]}})
    return {"name": "Accuracy under faults", "unit": "shares of 1", "rows": rows}
