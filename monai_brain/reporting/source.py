"""What is reported: a run, an experiment of many runs, or a bare file of predictions."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_brain import registry
from monai_brain.bundles import DISCLAIMER, Bundle
from monai_brain.data import datalist as datalists
from monai_brain.errors import DataError, MonaiBrainError
from monai_brain.evaluation.predictions import Predictions, read
from monai_brain.files import read_json
from monai_brain.training.run_folder import JUDGEMENT_FILE, MANIFEST_FILE, METRICS_FILE, PREDICTIONS_FILE

EXPERIMENT_FILE, TABLES_FILE = "experiment.json", "tables.json"
RUN, FILE, TRANSFER, ROBUSTNESS = "run", "predictions", "transfer", "robustness"
KINDS = {
    RUN: "training run",
    FILE: "file of predictions",
    "cross-validation": "cross-validation",
    "ablation": "ablation",
    "comparison": "comparison of models",
    TRANSFER: "transfer to other data",
    ROBUSTNESS: "robustness test",
}


@dataclass(frozen=True)
class Run:
    """One training: its folder, and which rows of the predictions are its own."""

    name: str
    folder: Path
    model: str = ""
    variant: str = ""
    fold: int | None = None
    repeat: int | None = None
    state: str = ""

    @property
    def manifest(self) -> dict[str, Any]:
        """Its manifest; empty where it has none."""
        return _object(self.folder / MANIFEST_FILE)

    @property
    def recipe(self) -> dict[str, Any]:
        """Its training recipe as resolved; empty where it has none."""
        return _object(self.folder / "configs" / "train.json")

    @property
    def epochs(self) -> list[dict[str, float]]:
        """What it recorded at each epoch."""
        return epochs(self.folder / METRICS_FILE)


@dataclass(frozen=True)
class Source:
    """All that a report is made of."""

    folder: Path
    kind: str
    predictions: Predictions
    runs: list[Run] = field(default_factory=list)
    experiment: Mapping[str, Any] = field(default_factory=dict)
    tables: object = None
    datalist: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)  # what the experiment itself measured

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the folder itself, else that of its first run."""
        own = _object(self.folder / MANIFEST_FILE) if self.kind != FILE else {}
        return own or next((run.manifest for run in self.runs if run.manifest), {})

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe of the first run that has one."""
        return next((run.recipe for run in self.runs if run.recipe), {})

    @property
    def leakage(self) -> str | None:
        """The mark of data that were not split by patient, as the run or the experiment states it."""
        if "leakage" in self.experiment:
            mark = self.experiment["leakage"]
            return str(mark) if mark else None
        stated = [self.experiment, *(run.manifest for run in self.runs), self.manifest]
        for content in stated:
            told = content.get("datalist")
            mark = content.get("leakage") or (told.get("leakage") if isinstance(told, dict) else None)
            if mark:
                return str(mark)
        return None

    def bundle(self, model: str) -> Bundle | None:
        """The bundle that a run of the model is, else the registered one of its name, else none."""
        for run in self.runs:
            if (run.folder / "configs" / "metadata.json").is_file():
                found = Bundle.at(run.folder)
                if not model or found.name == model:
                    return found
        return registry.registry().bundles.get(model)

    def disclaimer(self, model: str) -> str:
        """The sentence that stands on everything a person reads."""
        found = self.bundle(model)
        return DISCLAIMER if found is None else found.disclaimer


def read_source(given: str | os.PathLike[str]) -> Source:
    """What stands in a folder or a file.

    Raises:
        DataError: There are no predictions.
    """
    path = Path(given)
    if not path.is_dir():
        return Source(path.parent, FILE, read(path))
    predictions = read(path / PREDICTIONS_FILE)
    experiment = _object(path / EXPERIMENT_FILE)
    if not experiment:
        own = Run(path.name, path)
        return Source(path, RUN, predictions, [own], datalist=_datalist(own.recipe))
    jobs = [job for job in experiment.get("jobs") or [] if isinstance(job, dict)]
    # What is split by another scheme stands in a folder of its own within, with a page of its own.
    beside = tuple(f"{name}/" for name in experiment.get("beside") or [])
    jobs = [job for job in jobs if not (beside and str(job.get("run")).startswith(beside))]
    runs = [run for run in (_job(path, job) for job in jobs if job.get("run")) if run.folder.is_dir()]
    lists = [run.recipe for run in runs if run.recipe][:1]
    lists += [{"datalist": str(path / str(job["datalist"]))} for job in jobs if job.get("datalist")][:1]
    datalist = next((one for one in map(_datalist, lists) if one is not None), None)
    tables = read_json(path / TABLES_FILE) if (path / TABLES_FILE).is_file() else None
    kind = str(experiment.get("kind") or RUN)
    if kind == ROBUSTNESS:
        # The images with faults stand in their own curves; the cases are those without one.
        clean = predictions.subset(predictions.variant == "")
        predictions = clean if len(clean) else predictions
    metrics = _object(path / JUDGEMENT_FILE)
    return Source(path, kind, predictions, runs, experiment, tables, datalist, metrics)


def epochs(path: Path) -> list[dict[str, float]]:
    """The finite numbers of each epoch, by column; none where the run has no such file.

    Raises:
        DataError: The file holds something else than numbers.
    """
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(f"{path}: is no table of numbers by epoch: {error}.") from error
    finite = [{key: value for key, value in row.items() if math.isfinite(value)} for row in rows]
    return [row for row in finite if "epoch" in row]


def _job(folder: Path, job: Mapping[str, Any]) -> Run:
    def whole(key: str) -> int | None:
        return job[key] if isinstance(job.get(key), int) else None

    return Run(
        name=str(job.get("name") or job["run"]),
        folder=folder / str(job["run"]),
        model=str(job.get("model") or ""),
        variant=str(job.get("variant") or ""),
        fold=whole("fold"),
        repeat=whole("repeat"),
        state=str(job.get("state") or ""),
    )


def _object(path: Path) -> dict[str, Any]:
    content = read_json(path) if path.is_file() else {}
    return content if isinstance(content, dict) else {}


def _datalist(recipe: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The datalist of the run, where it is still there and whole."""
    named = recipe.get("datalist")
    try:
        if isinstance(named, dict) and "training" in named:
            return datalists.read(named)
        if isinstance(named, str) and Path(named).is_file():
            return datalists.read(named)
    except MonaiBrainError:
        return None  # the page says that the counts before the predictions are not known
    return None
