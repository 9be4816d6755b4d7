"""However an experiment is cut into pieces or interrupted, it gives what the unbroken one gives."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monai_brain.errors import ConfigurationError
from monai_brain.files import read_json, sha256
from monai_brain.training.experiments import folder, jobs, running
from monai_brain.training.experiments.cross_validation import collect, cross_validate
from tests.training.experiments.conftest import SETTINGS, command, environment

SAME = ("predictions.csv", "metrics.json", "tables.json", "kfold/predictions.csv", "kfold/metrics.json")


def same(one: Path, other: Path) -> None:
    for name in SAME:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for run in sorted(path.relative_to(one) for path in one.glob("**/runs/*")):
        weights = run / "models" / "model.pt"
        assert sha256(one / weights) == sha256(other / weights), run


@pytest.mark.slow
def test_one_job_at_a_time_gives_the_same(crossed, workplace, tmp_path):
    from monai_brain.cli import main

    words = command(workplace, tmp_path / "cv")
    order = [6, 1, 0, 2, 4, 5, 3]  # the refit, which is 3, needs its folds
    for number in order:
        assert main([*words, "--job", str(number)]) == 0
    assert main([*words, "--collect"]) == 0
    same(crossed, tmp_path / "cv")


def test_a_refit_before_its_folds_and_a_job_that_is_not_there_are_refused(workplace, tmp_path):
    def start(stage):
        cross_validate(
            workplace / "tiny", workplace / "datalist.json", tmp_path / "cv", folds=3, refit=True, stage=stage
        )

    with pytest.raises(ConfigurationError, match="fold_0 is not finished"):
        start(3)
    with pytest.raises(ConfigurationError, match=r"no job 4\. There are 0 to 3"):
        start(4)
    with pytest.raises(ConfigurationError, match="stage is 'colect'"):
        start("colect")


@pytest.mark.slow
def test_killed_twice_and_gone_on_with_it_equals_the_unbroken_one(crossed, workplace, tmp_path):
    root = tmp_path / "cv"
    words = [sys.executable, "-m", "monai_brain", *command(workplace, root)]
    kills = (root / "runs" / "fold_1" / "checkpoints", root / "kfold" / "runs" / "fold_1" / "manifest.json")
    for mark in kills:
        process = subprocess.Popen(
            words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (any(mark.glob("*.pt")) if mark.suffix == "" else mark.is_file()):
            assert process.poll() is None, f"it ended before {mark} was there"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert folder.load(root).unfinished
    subprocess.run(words, env=environment(), check=True, capture_output=True)
    same(crossed, root)


def test_a_job_killed_before_its_first_checkpoint_begins_anew(crossed, workplace, tmp_path):
    root = tmp_path / "cv"
    options = {
        "folds": 3,
        "scheme": ("patient", "kfold"),
        "allow_leakage": True,
        "refit": True,
        "shortcut": True,
    }
    run = root / "runs" / "fold_0"
    cross_validate(workplace / "tiny", workplace / "datalist.json", root, stage=0, **options, **SETTINGS)
    for name in ("metrics.json", "predictions.csv"):
        (run / name).unlink()
    (run / "models" / "model.pt").write_bytes(b"weights of the first epoch")
    experiment = folder.load(root)
    assert jobs.state(experiment.jobs[0], root) == jobs.WAITING
    running.run_one(experiment, 0)
    assert (run / "predictions.csv").read_bytes() == (crossed / "runs/fold_0/predictions.csv").read_bytes()


def test_a_failed_job_is_named_and_the_others_are_done(workplace, tmp_path):
    options = {"folds": 3, "scheme": "patient", **SETTINGS}
    root = cross_validate(
        workplace / "tiny", workplace / "datalist.json", tmp_path / "cv", stage="plan", **options
    )
    (root / "runs").mkdir()
    (root / "runs" / "fold_1").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(running.JobsFailedError, match="1 of 3 jobs failed; fold_1: ") as caught:
        cross_validate(workplace / "tiny", workplace / "datalist.json", root, **options)
    assert caught.value.exit_status == 3
    states = {job["name"]: job["state"] for job in read_json(root / "experiment.json")["jobs"]}
    assert states == {"fold_0": "finished", "fold_1": "failed", "fold_2": "finished"}
    (root / "runs" / "fold_1").unlink()
    cross_validate(workplace / "tiny", workplace / "datalist.json", root, **options)
    states = {job["name"]: job["state"] for job in read_json(root / "experiment.json")["jobs"]}
    assert set(states.values()) == {"finished"}


@pytest.mark.slow
def test_a_dask_worker_is_killed_and_the_job_ends_with_the_same_predictions(
    crossed, workplace, tmp_path, monkeypatch
):
    distributed = pytest.importorskip("distributed")
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "cv"
    options = {
        "folds": 3,
        "scheme": ("patient", "kfold"),
        "allow_leakage": True,
        "refit": True,
        "shortcut": True,
    }
    cross_validate(workplace / "tiny", workplace / "datalist.json", root, stage="plan", **options, **SETTINGS)
    experiment = folder.load(root)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        workers = {worker.pid for worker in cluster.workers.values()}
        killed = []
        original = distributed.as_completed

        def kill_one_first(futures):
            # A worker that has begun a job dies in the middle of it.
            busy = {}
            with distributed.Client(cluster) as client:
                while not any(busy.values()) or not list(root.glob("**/runs/*/configs/train.json")):
                    busy = client.processing()
            address = next(name for name, tasks in busy.items() if tasks)
            victim = next(w for w in cluster.workers.values() if w.worker_address == address)
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)
            return original(futures)

        monkeypatch.setattr(distributed, "as_completed", kill_one_first)
        first_wave = [job for job in experiment.jobs if job.fold is not None]
        reasons = dict(running._on(cluster.scheduler_address, experiment, first_wave))
        assert len(killed) == 1
        assert killed[0] in workers
        assert not any(reasons.values()), reasons
        monkeypatch.setattr(distributed, "as_completed", original)
        running.run(experiment, cluster=cluster.scheduler_address)
    collect(experiment)
    same(crossed, root)


def test_a_cluster_that_is_none_is_refused_in_one_line(workplace, tmp_path):
    pytest.importorskip("distributed")
    for where, message in (("local:none", "expected local:N"), ("somewhere", "expected local:N or tcp")):
        with pytest.raises(ConfigurationError, match=message):
            cross_validate(
                workplace / "tiny", workplace / "datalist.json", tmp_path / "cv", folds=3, cluster=where
            )
