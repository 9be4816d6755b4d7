"""One training of an experiment: what it is, how far it is, and how it is brought to its end."""

from __future__ import annotations

import logging
import statistics
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai_brain import registry
from monai_brain.bundles import WEIGHTS_FILE
from monai_brain.errors import ConfigurationError
from monai_brain.files import read_json
from monai_brain.training import run_folder

FINISHED, STARTED, WAITING, FAILED = "finished", "started", "waiting", "failed"
_LOG = logging.getLogger(__name__)
# Trainings fix the seeds of the whole process: two at a time in one process would disturb each other.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Job:
    """One training of an experiment.

    Attributes:
        name: What the job is called; no other of the experiment is called so.
        run: Its run folder, relative to the experiment's folder.
        model: A registered name or an absolute folder.
        variant: One of the model's variants, or None for the model as it is.
        fold: The fold that is held out, or None for a training on everything.
        repeat: Which repetition it belongs to.
        datalist: The datalist, relative to the experiment's folder.
        contestant: Whose results these are, where several models or variants are compared.
        weights: What the training starts from, as `train` takes it.
        overlays: Further recipes of the model, laid over train.json.
        overrides: Values of the recipe's keys.
    """

    name: str
    run: str
    model: str
    variant: str | None
    fold: int | None
    repeat: int
    datalist: str
    contestant: str = ""
    weights: str = "scratch"
    overlays: tuple[str, ...] = ()
    overrides: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The job as a JSON object."""
        return asdict(self)


def state(job: Job, root: Path) -> str:
    """How far the job is, as its run folder tells: finished, started or waiting."""
    folder = root / job.run
    if is_finished(job, folder):
        return FINISHED
    return STARTED if _checkpoints(folder) else WAITING


def is_finished(job: Job, folder: Path) -> bool:
    """Whether the run folder holds all that the job is to give."""
    if job.fold is not None:
        return (folder / run_folder.JUDGEMENT_FILE).is_file()  # it is the last thing that a training writes
    manifest = folder / run_folder.MANIFEST_FILE
    return manifest.is_file() and "outcome" in read_json(manifest)


def execute(job: Job, root: Path, folds: list[Job]) -> Path:
    """Bring one job to its end, from where an earlier attempt left it; gives its run folder.

    Args:
        job: What is to be trained.
        root: The experiment's folder.
        folds: The jobs over whose folds a training on everything takes its number of epochs.

    Raises:
        MonaiBrainError: Whatever `train` raises; what was done so far stays.
    """
    from monai_brain.training.workflow import train

    folder = root / job.run
    if is_finished(job, folder):
        _LOG.info("%s is finished already", job.name)
        return folder
    begun = bool(_checkpoints(folder))
    if not begun:
        # Killed within its first epoch: better weights were kept already, the state was not.
        (folder / WEIGHTS_FILE).unlink(missing_ok=True)
    overrides = dict(job.overrides)
    if job.fold is None:
        overrides["max_epochs"] = _usual_epochs(folds, root)
    with _ONE_AT_A_TIME:
        train(
            job.model,
            root / job.datalist,
            job.fold,
            weights=job.weights,
            run_dir=folder,
            resume=begun,
            variant=job.variant,
            overlays=job.overlays,
            **overrides,
        )
    # Nothing goes on from a finished job, and a checkpoint is three times as large as the weights.
    for file in _checkpoints(folder):
        file.unlink(missing_ok=True)
    return folder


def _checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob("*.pt*"))


def check(job: Job, root: Path) -> None:
    """Refuse a job that cannot begin, before any has begun.

    Raises:
        MonaiBrainError: The model, the variant, a key of the recipe or its value is unknown.
    """
    from monai_brain import recipe
    from monai_brain.training.workflow import variant_settings

    bundle = registry.bundle(job.model)
    settings = {**variant_settings(bundle, job.variant, job.weights), **job.overrides}
    recipe.workflow(
        bundle, ["train", *job.overlays], {**settings, "run_dir": str(root / job.run)}, kind="train"
    )


def _usual_epochs(folds: list[Job], root: Path) -> int:
    """The median of the folds' best epochs: with everything trained on, nothing is left to choose by."""
    unfinished = [job.name for job in folds if not is_finished(job, root / job.run)]
    if unfinished:
        raise ConfigurationError(
            f"The training on everything takes its number of epochs from the folds, and {unfinished[0]} is "
            "not finished. Run the folds first."
        )
    best = [read_json(root / job.run / run_folder.MANIFEST_FILE)["outcome"]["best_epoch"] for job in folds]
    return max(1, round(statistics.median(best)))
