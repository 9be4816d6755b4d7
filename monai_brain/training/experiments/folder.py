"""The folder of an experiment: its list of jobs, its datalists, and how far it is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_brain.data import datalist as datalists
from monai_brain.errors import ConfigurationError, OutputError
from monai_brain.files import read_json, write_json
from monai_brain.training.experiments import jobs
from monai_brain.training.experiments.jobs import Job

SCHEMA_VERSION = 1
EXPERIMENT_FILE = "experiment.json"
TABLES_FILE = "tables.json"
PLAN_FILE = "plan.json"
DATALISTS, RUNS = "datalists", "runs"


@dataclass(frozen=True)
class Experiment:
    """A list of jobs in a folder.

    Attributes:
        root: The folder.
        kind: cross-validation, ablation, comparison, transfer or robustness.
        jobs: The trainings, in order.
        facts: What else a reader of the experiment must know: model, options, leakage, controls.
    """

    root: Path
    kind: str
    jobs: tuple[Job, ...]
    facts: dict[str, Any]

    @property
    def folds(self) -> list[Job]:
        """The jobs that hold a fold out, and so give predictions."""
        return [job for job in self.jobs if job.fold is not None]

    @property
    def unfinished(self) -> list[Job]:
        """The jobs that are not finished."""
        return [job for job in self.jobs if jobs.state(job, self.root) != jobs.FINISHED]

    def run(self, job: Job) -> Path:
        """The run folder of a job."""
        return self.root / job.run

    def save(self, failures: Mapping[str, str] | None = None, **more: Any) -> None:
        """Write experiment.json with the state of each job; a failed one has its reason."""
        failed = failures or {}
        listed = []
        for job in self.jobs:
            found = jobs.state(job, self.root)
            if found != jobs.FINISHED and job.name in failed:
                listed.append({**job.as_json(), "state": jobs.FAILED, "reason": failed[job.name]})
            else:
                listed.append({**job.as_json(), "state": found})
        write_json(self.root / EXPERIMENT_FILE, {**self.spec(), **more, "jobs": listed})

    def spec(self) -> dict[str, Any]:
        """What makes the experiment the one that it is; the same in every attempt at it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            **self.facts,
            "jobs": [job.as_json() for job in self.jobs],
        }


def begin(
    root: str | os.PathLike[str],
    kind: str,
    todo: Sequence[Job],
    facts: Mapping[str, Any],
    lists: Mapping[str, Mapping[str, Any]],
) -> Experiment:
    """The experiment in a folder: a new one, or the same one to go on with.

    Args:
        root: The folder.
        kind: See `Experiment`.
        todo: The jobs.
        facts: See `Experiment`.
        lists: The datalists by their paths relative to the folder.

    Raises:
        OutputError: The folder holds another experiment, or cannot be written.
    """
    folder = Path(root).resolve()
    experiment = Experiment(folder, kind, tuple(todo), dict(facts))
    if (folder / EXPERIMENT_FILE).is_file():
        _refuse_another(experiment)
    elif folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty and holds no experiment. Name another folder by -o.")
    for name, content in lists.items():
        path = folder / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            datalists.write(content, path)
        elif datalists.read(path) != datalists.read(content):
            raise OutputError(f"{path} is of another experiment. Name another folder by -o.")
    if not (folder / EXPERIMENT_FILE).is_file():
        experiment.save()
    return experiment


def load(root: str | os.PathLike[str]) -> Experiment:
    """The experiment that a folder holds.

    Raises:
        ConfigurationError: It holds none.
    """
    folder = Path(root).resolve()
    if not (folder / EXPERIMENT_FILE).is_file():
        raise ConfigurationError(f"{root} holds no experiment: it has no {EXPERIMENT_FILE}.")
    content = read_json(folder / EXPERIMENT_FILE)
    known = set(Job.__dataclass_fields__)
    listed = [
        Job(**{key: job[key] for key in known if key in job} | {"overlays": tuple(job.get("overlays", ()))})
        for job in content.pop("jobs")
    ]
    kind = content.pop("kind")
    content.pop("schema_version")
    return Experiment(folder, kind, tuple(listed), content)


def _refuse_another(experiment: Experiment) -> None:
    there = load(experiment.root)
    for what, old, new in (
        ("kind", there.kind, experiment.kind),
        ("jobs", [job.as_json() for job in there.jobs], [job.as_json() for job in experiment.jobs]),
        *((key, there.facts.get(key), value) for key, value in experiment.facts.items()),
    ):
        if old != new:
            raise OutputError(
                f"{experiment.root} holds another experiment: its {what} differ. "
                "Name another folder by -o, or give the options of the first time to go on with it."
            )
