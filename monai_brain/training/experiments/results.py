"""What the runs of an experiment say together: predictions in one file, and each contestant's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import predictions as files
from monai_brain.evaluation.comparison import compare
from monai_brain.evaluation.intervals import DRAWS
from monai_brain.evaluation.judge import evaluate
from monai_brain.evaluation.predictions import Predictions
from monai_brain.files import read_json
from monai_brain.training import run_folder
from monai_brain.training.experiments.folder import Experiment
from monai_brain.training.experiments.jobs import Job


def require_finished(experiment: Experiment) -> None:
    """Refuse to join what is not whole.

    Raises:
        ConfigurationError: Some jobs are not finished.
    """
    missing = [job.name for job in experiment.unfinished]
    if missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise ConfigurationError(
            f"{len(missing)} of {len(experiment.jobs)} jobs are not finished: {some}. Run them first."
        )


def joined(experiment: Experiment, chosen: Sequence[Job]) -> Predictions:
    """The predictions of the chosen jobs, one after another, each with its repeat."""
    parts = []
    for job in chosen:
        found = files.read(experiment.run(job) / run_folder.PREDICTIONS_FILE)
        parts.append(found.replaced(repeat=job.repeat))
    return files.put_together(parts)


def contested(
    rows: Mapping[str, Predictions],
    *,
    leakage: Mapping[str, str | None],
    notes: Sequence[str] = (),
    against: str | None = None,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """The figures of each contestant by name, and the tests between them.

    Args:
        rows: Each contestant's predictions.
        leakage: How each one's data were split, if not by patient.
        notes: What stands first among the notes of each.
        against: The contestant that all others are compared with; by default each with each.
        draws: Resamples behind each interval.
    """
    figures = {
        name: evaluate(found, leakage=leakage.get(name), notes=notes, draws=draws)
        for name, found in rows.items()
    }
    tested = {name: one_side(found, figures[name]["split"]) for name, found in rows.items()}
    tests = None
    if len(rows) > 1:
        tests = compare(without_folds_that_differ(tested), draws=draws, against=against)
    return {"schema_version": 1, "contestants": figures, "comparison": tests}


def one_side(rows: Predictions, split: str | None) -> Predictions:
    """The rows that are measured."""
    return rows if split is None else rows.where(split=split)


def without_folds_that_differ(rows: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """The same rows; where two were not split alike, and each case was tested once, without the folds.

    So a split by patient can be set against one by image, and a run against a file from elsewhere.
    """
    keys = {frozenset(zip(one.case, one.fold, one.repeat, strict=True)) for one in rows.values()}
    once = all(len(set(one.case.tolist())) == len(one) for one in rows.values())
    if len(keys) == 1 or not once:
        return dict(rows)
    return {name: one.replaced(fold=None, repeat=None) for name, one in rows.items()}


def curves(experiment: Experiment) -> list[dict[str, Any]]:
    """Where each run's losses and accuracies by epoch are."""
    return [
        {
            "name": job.contestant or job.name,
            "fold": job.fold,
            "repeat": job.repeat,
            "file": f"{job.run}/{run_folder.METRICS_FILE}",
        }
        for job in experiment.jobs
        if (experiment.run(job) / run_folder.METRICS_FILE).is_file()
    ]


def told(folder: Path) -> dict[str, Any]:
    """What a run's manifest says of its data, or nothing."""
    path = folder / run_folder.MANIFEST_FILE
    found = read_json(path).get("datalist") if path.is_file() else None
    return dict(found or {})
