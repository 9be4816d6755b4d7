"""One training in two processes under torchrun, on the CPU by gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import monai_brain as mb
from monai_brain.data import datalist
from monai_brain.evaluation import predictions
from monai_brain.files import read_json, sha256
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training import checkpoint_files, distributed

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = ROOT / "bundles" / "brain_tumor_resnet34_classification" / "configs" / "multi_gpu_train.json"
EPOCHS, PROCESSES = 3, 2


def torchrun(folder: Path, data: Path, *options: str, **extra: object) -> Path:
    """The run folder of a training of the tiny model in two processes."""
    model = tiny_bundle(folder / "tiny")
    run = folder / "run"
    state = "'rank%d.pt' % torch.distributed.get_rank()"
    overlay = {
        # Before the weights that were kept are loaded, for those are equal anyhow.
        "run": [
            "$@train#trainer.run()",
            f"$torch.save(@network.state_dict(), @run_dir + '/' + {state})",
            "$workflow.conclude(@run_dir)",
            "$@test#evaluator.run()",
            "$workflow.judge(@run_dir)",
        ],
        **extra,
    }
    (folder / "extra.json").write_text(json.dumps(overlay), encoding="utf-8")
    files = [model.config("train"), OVERLAY, folder / "extra.json"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={PROCESSES}",
         *options, "-m", "monai.bundle", "run", "--config_file", str([str(file) for file in files]),
         "--meta_file", str(model.root / "configs" / "metadata.json"), "--bundle_root", str(model.root),
         "--datalist", str(data), "--run_dir", str(run), "--max_epochs", str(EPOCHS)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-20000:]
    return run


@pytest.fixture(scope="module")
def run(brain_phantoms, tmp_path_factory) -> Path:
    return torchrun(tmp_path_factory.mktemp("two"), brain_phantoms)


@pytest.mark.slow
def test_both_processes_end_with_the_same_parameters_and_buffers(run):
    first, second = (torch.load(run / f"rank{rank}.pt", weights_only=True) for rank in range(PROCESSES))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    last = checkpoint_files.last_whole(run)
    assert last
    assert all(torch.equal(value, first[name]) for name, value in last[1]["parts"]["network"].items())
    assert read_json(run / "manifest.json")["processes"] == PROCESSES


@pytest.mark.slow
def test_validation_is_that_of_one_process_and_no_case_is_lost_or_repeated(run, brain_phantoms):
    found = predictions.read(run / "predictions.csv")
    for side in ("validation", "test"):
        wanted = sorted(item["image"] for item in datalist.part(brain_phantoms, 0, side))
        assert sorted(found.image[found.split == side]) == wanted
    answers = mb.predict(run, list(found.image)).predictions
    by_image = {row.image: row.logits for row in answers}
    for row in found:
        one = by_image[row.image]
        np.testing.assert_allclose(
            [row.logits[name] for name in found.classes], [one[name] for name in found.classes], atol=1e-6
        )
    # The accuracy by which the weights were chosen, counted over both processes' cases.
    validated = found.where(split="validation")
    assert read_json(run / "manifest.json")["outcome"]["validation_accuracy"] == pytest.approx(
        float(np.mean(validated.label == validated.predicted))
    )


@pytest.mark.slow
def test_a_killed_process_is_begun_anew_and_the_end_is_the_same(run, brain_phantoms, tmp_path):
    overlay = read_json(OVERLAY)
    handlers = overlay["train#trainer#train_handlers"]
    again = torchrun(
        tmp_path, brain_phantoms, "--max-restarts=1",
        **{"+imports": ["$import tests.training.planted as planted"],
           "train#trainer#train_handlers": f"$[planted.Kill(5, 1)] + {handlers.removeprefix('$')}"},
    )  # fmt: skip
    assert sha256(again / "models" / "model.pt") == sha256(run / "models" / "model.pt")
    for rank in range(PROCESSES):
        first, second = (torch.load(place / f"rank{rank}.pt", weights_only=True) for place in (run, again))
        assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_first_start_begins_and_a_restart_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert not distributed.restarted(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert distributed.restarted(tmp_path)
    assert not distributed.restarted(tmp_path / "nothing")


def test_without_torchrun_it_is_refused(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(mb.MonaiBrainError, match="needs torchrun"):
        distributed.join()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_norms_are_shared_on_gpus_alone(device):
    """SyncBatchNorm raises on a CPU; there the buffers are shared instead."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    with torch.device("meta"):
        moved: list[torch.device] = []
    network.to = lambda place: moved.append(place) or network  # type: ignore[method-assign,assignment]
    found = distributed.with_shared_statistics(network, torch.device(device))
    kinds = {type(part) for part in found.modules()}
    assert (torch.nn.SyncBatchNorm in kinds) == (device == "cuda")
