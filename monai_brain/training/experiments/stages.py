"""What is done of an experiment in one call: all of it, its plan, one job, or the joining."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monai_brain.errors import ConfigurationError
from monai_brain.training.experiments import plan, running
from monai_brain.training.experiments.folder import Experiment
from monai_brain.training.experiments.results import require_finished

ALL, PLAN, COLLECT = "all", "plan", "collect"
Stage = str | int


def carry_out(
    experiment: Experiment,
    collect: Callable[[Experiment], None],
    *,
    stage: Stage = ALL,
    cluster: str | None = None,
    progress: bool | None = False,
) -> Path:
    """Do what the stage asks for; gives the experiment's folder.

    Args:
        experiment: What `folder.begin` gave.
        collect: Joins what the finished jobs have given.
        stage: "all", "plan", "collect", or the number of one job.
        cluster: As `running.run` takes it.
        progress: True or False for a bar, None for one on a terminal.

    Raises:
        ConfigurationError: There is no such stage, or jobs that it needs are not finished.
    """
    if isinstance(stage, bool) or (not isinstance(stage, int) and stage not in (ALL, PLAN, COLLECT)):
        raise ConfigurationError(f"stage is {stage!r}. Expected 'all', 'plan', 'collect' or a job's number.")
    if stage == PLAN:
        plan.write(experiment)
        return experiment.root
    if isinstance(stage, int):
        running.run_one(experiment, stage)
        return experiment.root
    if stage == ALL:
        running.run(experiment, cluster=cluster, progress=progress)
    require_finished(experiment)
    collect(experiment)
    experiment.save(collected=True)
    return experiment.root
