"""Jobs brought to their end: one after another in this process, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_brain.errors import ConfigurationError, MissingExtraError, MonaiBrainError
from monai_brain.training.experiments import folder as folders
from monai_brain.training.experiments.folder import Experiment
from monai_brain.training.experiments.jobs import FINISHED, Job, check, execute, state

LOCAL = "local:"
GPU = "GPU"


class JobsFailedError(MonaiBrainError):
    """Some trainings of an experiment failed; the others are done."""

    exit_status = 3


def run(experiment: Experiment, *, cluster: str | None = None, progress: bool | None = False) -> None:
    """Bring every job of the experiment to its end; those that are finished are passed over.

    Args:
        experiment: What is to be run.
        cluster: None for one job after another in this process, "local:N" for N processes on this
            machine, or the address of a Dask scheduler, tcp://HOST:PORT.
        progress: True or False for a bar, None for one on a terminal.

    Raises:
        ConfigurationError: A job cannot begin; none has begun then.
        JobsFailedError: Some failed. What they had done stays, and the same call goes on with it.
    """
    todo = experiment.unfinished
    for job in _kinds(todo):
        check(job, experiment.root)
    failures: dict[str, str] = {}
    bar = tqdm(
        total=len(experiment.jobs),
        initial=len(experiment.jobs) - len(todo),
        unit="job",
        desc=experiment.kind,
        disable=None if progress is None else not progress,
        file=sys.stderr,
    )
    with bar:
        # What trains on everything takes its number of epochs from the folds, so it comes after them.
        for wave in (
            [job for job in todo if job.fold is not None],
            [job for job in todo if job.fold is None],
        ):
            if failures or not wave:
                continue
            running = _here(experiment, wave) if cluster is None else _on(cluster, experiment, wave)
            for name, reason in running:
                if reason:
                    failures[name] = reason
                bar.update()
    experiment.save(failures)
    if failures:
        first = next(iter(failures))
        raise JobsFailedError(
            f"{len(failures)} of {len(experiment.jobs)} jobs failed; {first}: {failures[first]} "
            f"The reasons stand in {experiment.root / folders.EXPERIMENT_FILE}; the same command goes on."
        )


def run_one(experiment: Experiment, number: int) -> Job:
    """Bring one job to its end, by its place in the list.

    Raises:
        ConfigurationError: There is no such job.
        MonaiBrainError: Whatever the training raises.
    """
    if not 0 <= number < len(experiment.jobs):
        raise ConfigurationError(f"There is no job {number}. There are 0 to {len(experiment.jobs) - 1}.")
    job = experiment.jobs[number]
    execute(job, experiment.root, _own_folds(experiment, job))
    return job


def on_worker(root: str, number: int) -> tuple[str, str]:
    """What a Dask worker does: one job of the experiment in a folder that all workers see.

    The job's name is given back, and the reason why it failed, or "".
    """
    experiment = folders.load(root)
    job = experiment.jobs[number]
    try:
        return _attempt(experiment, job)
    except ConfigurationError as error:  # it goes back as words: not every error survives the journey
        return job.name, str(error)


def _here(experiment: Experiment, todo: Sequence[Job]) -> Iterator[tuple[str, str]]:
    for job in todo:
        yield _attempt(experiment, job)


def _attempt(experiment: Experiment, job: Job) -> tuple[str, str]:
    try:
        execute(job, experiment.root, _own_folds(experiment, job))
    except ConfigurationError:
        raise  # the next job would fail alike
    except Exception as error:  # noqa: BLE001  one job's failure, whatever it is, must not end the others
        known = isinstance(error, MonaiBrainError)
        return job.name, " ".join((str(error) if known else f"{type(error).__name__}: {error}").split())
    return job.name, ""


def _on(cluster: str, experiment: Experiment, todo: Sequence[Job]) -> Iterator[tuple[str, str]]:
    try:
        import distributed
    except ModuleNotFoundError:
        raise MissingExtraError("distributed", "cluster") from None
    # A recipe's logging.conf opens the root logger, and the cluster's every move would stand between epochs.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    numbers = {job.name: number for number, job in enumerate(experiment.jobs)}
    with _client(distributed, cluster) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        have_gpus = any(GPU in worker.get("resources", {}) for worker in workers)
        futures = [
            client.submit(
                on_worker,
                str(experiment.root),
                numbers[job.name],
                key=f"{experiment.root}/{job.name}",
                pure=False,
                resources={GPU: 1} if have_gpus else None,
            )
            for job in todo
        ]
        names = {future.key: job.name for future, job in zip(futures, todo, strict=True)}
        try:
            for future in distributed.as_completed(futures):
                error = future.exception()
                if error is None:
                    yield future.result()
                else:  # its worker died again and again
                    yield names[future.key], " ".join(f"{type(error).__name__}: {error}".split())
        finally:
            client.cancel([future for future in futures if not future.done()], force=True)


@contextlib.contextmanager
def _client(distributed: Any, cluster: str) -> Iterator[Any]:
    """A client of the named cluster; one that is local ends with it."""
    with contextlib.ExitStack() as stack:
        if cluster.startswith(LOCAL):
            number = cluster.removeprefix(LOCAL)
            if not number.isdecimal() or int(number) < 1:
                raise ConfigurationError(f"--cluster {cluster}: expected local:N with N of 1 or more.")
            local = distributed.LocalCluster(
                n_workers=int(number), threads_per_worker=1, processes=True, dashboard_address=None
            )
            cluster = stack.enter_context(local).scheduler_address
        elif "://" not in cluster:
            raise ConfigurationError(f"--cluster {cluster}: expected local:N or tcp://HOST:PORT.")
        try:
            client = stack.enter_context(distributed.Client(cluster, timeout="20s"))
        except OSError as error:
            raise ConfigurationError(f"No Dask scheduler answers at {cluster}: {error}.") from None
        yield client


def _own_folds(experiment: Experiment, job: Job) -> list[Job]:
    """The folds that belong to a training on everything."""
    place = Path(job.run).parts[:-2]
    return [
        other
        for other in experiment.folds
        if other.contestant == job.contestant and Path(other.run).parts[:-2] == place
    ]


def _kinds(todo: Sequence[Job]) -> list[Job]:
    """One job of each model and variant: the recipes of the others are the same."""
    return list({(job.model, job.variant, job.overlays): job for job in reversed(todo)}.values())


def pending(experiment: Experiment) -> list[str]:
    """The names of the jobs that are not finished."""
    return [job.name for job in experiment.jobs if state(job, experiment.root) != FINISHED]
