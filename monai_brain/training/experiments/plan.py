"""What an experiment will take, from a few timed steps of each kind of its jobs."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data.meta_obj import set_track_meta

from monai_brain import recipe, registry
from monai_brain.data import datalist as datalists
from monai_brain.files import write_json
from monai_brain.training.experiments.folder import PLAN_FILE, Experiment
from monai_brain.training.experiments.jobs import Job, state
from monai_brain.training.workflow import variant_settings

STEPS, WARM_UP = 20, 3
# A forward pass takes about a third of a training step, which is one forward and two backward.
_FORWARD = 1 / 3
# A whole checkpoint: weights, and Adam's two moments of each; a finished job keeps the weights alone.
_CHECKPOINT = 3


@dataclass(frozen=True)
class Estimate:
    """What one job is expected to take.

    Attributes:
        hours: Until its last epoch; a recipe that stops early takes less.
        disk_mib: What stays when it is finished.
        disk_mib_running: What it takes while it runs.
        gpu_memory_mib: The most that torch held on the GPU, or None without one.
        steps: Training steps of an epoch.
        epochs: Epochs.
        seconds_a_step: The median of the timed steps.
    """

    hours: float
    disk_mib: float
    disk_mib_running: float
    gpu_memory_mib: float | None
    steps: int
    epochs: int
    seconds_a_step: float


def write(experiment: Experiment) -> dict[str, Any]:
    """The plan of an experiment, which is then also in plan.json; no job is started."""
    measured: dict[tuple[object, ...], Estimate] = {}
    lines = []
    for number, job in enumerate(experiment.jobs):
        kind = (job.model, job.variant, job.weights, job.overlays)
        if kind not in measured:
            measured[kind] = estimate(job, experiment.root)
        lines.append(
            {"job": number, **job.as_json(), "state": state(job, experiment.root), **asdict(measured[kind])}
        )
    todo = [line for line in lines if line["state"] != "finished"]
    memory = [line["gpu_memory_mib"] for line in lines if line["gpu_memory_mib"] is not None]
    found = {
        "schema_version": 1,
        "kind": experiment.kind,
        "timed_steps": STEPS,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "hours_left": sum(line["hours"] for line in todo),
        "disk_mib": sum(line["disk_mib"] for line in lines),
        "gpu_memory_mib": max(memory) if memory else None,
        "jobs": lines,
    }
    write_json(experiment.root / PLAN_FILE, found)
    return found


def estimate(job: Job, root: Path) -> Estimate:
    """What a job will take, from timed steps of its own recipe on its own images; it writes nothing."""
    bundle = registry.bundle(job.model)
    fold = job.fold if job.fold is not None else min(datalists.folds(root / job.datalist), default=0)
    with tempfile.TemporaryDirectory() as scratch:
        settings = {
            **variant_settings(bundle, job.variant, job.weights),
            "datalist": str(root / job.datalist),
            "fold": fold,
            "run_dir": scratch,
            "start_weights": job.weights,
            **job.overrides,
        }
        whole = recipe.workflow(bundle, ["train", *job.overlays], settings, kind="train").parser
        images = whole.get_parsed_content("train#dataset#data")
        validated = len(whole.get_parsed_content("validate#dataset#data"))
        batch, epochs, interval = (
            int(whole.get_parsed_content(key)) for key in ("batch_size", "max_epochs", "val_interval")
        )
        few = {
            **settings,
            "train#dataset#data": images[: 4 * batch],
            "train#handlers": [],
            "max_epochs": STEPS + WARM_UP,
        }
        workflow = recipe.workflow(bundle, ["train", *job.overlays], few, kind="train")
        seconds, memory = _timed(workflow.parser)
        numbers = sum(
            value.numel() * value.element_size()
            for value in workflow.parser.get_parsed_content("network").state_dict().values()
        )
    steps = max(1, len(images) // batch if len(images) > batch else 1)
    passes = math.ceil(validated / batch) * (epochs // max(interval, 1)) + math.ceil(2 * validated / batch)
    mib = numbers / 2**20
    return Estimate(
        hours=seconds * (steps * epochs + _FORWARD * passes) / 3600,
        disk_mib=mib,
        disk_mib_running=mib * (1 + _CHECKPOINT),
        gpu_memory_mib=memory,
        steps=steps,
        epochs=epochs,
        seconds_a_step=seconds,
    )


def _timed(parser: Any) -> tuple[float, float | None]:
    """The median seconds of a step, and the most memory that the GPU held, MiB."""
    times: list[float] = []
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.reset_peak_memory_stats()
    set_track_meta(False)
    try:
        trainer: Engine = parser.get_parsed_content("train#trainer")

        def note(engine: Engine) -> None:
            if has_gpu:
                torch.cuda.synchronize()
            times.append(time.perf_counter())
            if len(times) == STEPS + WARM_UP:
                engine.terminate()

        trainer.add_event_handler(Events.ITERATION_COMPLETED, note)
        trainer.run()
    finally:
        set_track_meta(True)
    steps = sorted(
        after - before for before, after in zip(times[WARM_UP - 1 :], times[WARM_UP:], strict=False)
    )
    memory = torch.cuda.max_memory_allocated() / 2**20 if has_gpu else None
    return steps[len(steps) // 2], memory
