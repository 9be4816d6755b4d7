"""Checkpoints are whole or not there, and what goes on from one becomes what it would have become."""

from __future__ import annotations

import csv
import json
import random
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_brain import cli
from monai_brain.data import datalist
from monai_brain.errors import ConfigurationError, DataError, IntegrityError
from monai_brain.files import read_json, sha256
from monai_brain.inference import weights
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training import checkpoint_files, random_state
from monai_brain.training.checkpoint_files import Checkpoint
from monai_brain.training.failures import NonFiniteError
from monai_brain.training.workflow import train
from tests.training import planted

EPOCHS = 4
STEPS = 6  # of an epoch, in batches of 8


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def unbroken(model, brain_phantoms, tmp_path_factory) -> Path:
    return train(
        model, brain_phantoms, 0, run_dir=tmp_path_factory.mktemp("whole") / "run", max_epochs=EPOCHS
    )


def state(run: Path) -> dict:
    found = checkpoint_files.last_whole(run)
    assert found
    return found[1]


def assert_equal_runs(run: Path, other: Path) -> None:
    """Last weights, optimiser, best weights, curve and predictions: equal to the last bit."""
    first, second = state(run), state(other)
    assert first["epoch"] == second["epoch"]
    assert (first["best"], first["best_epoch"]) == (second["best"], second["best_epoch"])
    for name, value in first["parts"]["network"].items():
        assert torch.equal(value, second["parts"]["network"][name]), name
    moments = [content["parts"]["optimizer"]["state"] for content in (first, second)]
    for index, moment in moments[0].items():
        assert torch.equal(moment["exp_avg_sq"], moments[1][index]["exp_avg_sq"])
    assert sha256(run / "models" / "model.pt") == sha256(other / "models" / "model.pt")
    curves = [curve(place) for place in (run, other)]
    assert curves[0] == curves[1]
    for name in ("predictions.csv", "metrics.json"):
        assert (run / name).read_text(encoding="utf-8") == (other / name).read_text(encoding="utf-8")


def curve(run: Path) -> list[list[str]]:
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        return [line[:-1] for line in csv.reader(stream)]  # all but the images a second


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_last_two_are_kept_with_their_hashes(unbroken):
    names = sorted(path.name for path in (unbroken / "checkpoints").iterdir())
    assert names == [
        "epoch_0003.pt", "epoch_0003.pt.sha256", "epoch_0004.pt", "epoch_0004.pt.sha256",
    ]  # fmt: skip
    done = subprocess.run(
        ["sha256sum", "--check", *(name for name in names if name.endswith("sha256"))],
        cwd=unbroken / "checkpoints", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_every_so_many_epochs_one_is_kept(model, brain_phantoms, tmp_path):
    run = train(model, brain_phantoms, 0, run_dir=tmp_path / "run", max_epochs=5, keep_every=2)
    assert [checkpoint.epoch for checkpoint in checkpoint_files.found(run)] == [5, 4, 2]


@pytest.fixture
def default_signals():
    """The handlers that a program starts with; a shell's background job would ignore Ctrl-C."""
    wanted = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    yield wanted
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_writes_the_step_and_the_rest_is_the_same(
    model, brain_phantoms, unbroken, tmp_path, number, kind, default_signals
):
    run = tmp_path / "run"
    settings = {"max_epochs": EPOCHS}
    with pytest.raises(kind) as caught:
        train(
            model,
            brain_phantoms,
            0,
            run_dir=run,
            **settings,
            **planted.first(f"Signal({int(number)}, {2 * STEPS + 2})"),
        )
    if number == signal.SIGTERM:
        assert caught.value.code == 143
    assert [(found.epoch, found.step) for found in checkpoint_files.found(run)] == [(2, 2), (2, 0)]
    assert signal.getsignal(number) == default_signals[number]
    train(model, brain_phantoms, 0, run_dir=run, resume=True, **settings)
    assert_equal_runs(run, unbroken)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_without_the_device_cache_too(model, brain_phantoms, tmp_path, workers):
    """MONAI's loader and its workers draw the random numbers then."""
    settings = {"max_epochs": 2, "num_workers": workers, "device_cache": False}
    whole = train(model, brain_phantoms, 0, run_dir=tmp_path / "whole", **settings)
    run = tmp_path / "run"
    with pytest.raises(SystemExit):
        train(model, brain_phantoms, 0, run_dir=run, **settings, **planted.first("Signal(15, 8)"))
    train(model, brain_phantoms, 0, run_dir=run, resume=True, **settings)
    assert_equal_runs(run, whole)


def test_a_signal_in_an_epochs_last_step_waits_for_its_end(model, brain_phantoms, unbroken, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(SystemExit):
        train(
            model, brain_phantoms, 0, run_dir=run, max_epochs=EPOCHS, **planted.first(f"Signal(15, {STEPS})")
        )
    assert [(found.epoch, found.step) for found in checkpoint_files.found(run)] == [(1, 0)]
    train(model, brain_phantoms, 0, run_dir=run, max_epochs=EPOCHS, resume=True)
    assert_equal_runs(run, unbroken)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_command_ends_with_the_signals_status(model, brain_phantoms, tmp_path, capsys, number, status):
    key, value = next(iter(planted.first(f"Signal({int(number)}, 3)").items()))
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert status == cli.main(
            ["train", str(model.root), "--datalist", str(brain_phantoms), "--run-dir", str(tmp_path / "run"),
             "--set", f"{key}={value}"]
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "Traceback" not in capsys.readouterr().err
    assert checkpoint_files.found(tmp_path / "run")[0].step == 3


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    model, brain_phantoms, unbroken, tmp_path, capsys
):
    run = tmp_path / "run"
    train(model, brain_phantoms, 0, run_dir=run, max_epochs=3)
    flip(run / "checkpoints" / "epoch_0003.pt")
    train(model, brain_phantoms, 0, run_dir=run, max_epochs=EPOCHS, resume=True)
    said = capsys.readouterr().err
    assert "epoch_0003.pt has not the SHA-256" in said
    assert "Going on from epoch_0002.pt, which is whole." in said
    assert_equal_runs(run, unbroken)


def test_without_a_whole_checkpoint_resuming_is_refused_in_one_line(
    model, brain_phantoms, unbroken, tmp_path, capsys
):
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    for path in (run / "checkpoints").glob("*.pt"):
        flip(path)
    status = cli.main(
        ["train", str(model.root), "--datalist", str(brain_phantoms), "--run-dir", str(run), "--resume"]
    )
    assert status == 4
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("monai-brain: ")
    assert "epoch_0004.pt has not the SHA-256" in said
    assert "No checkpoint of the run is whole" in said


def test_a_checkpoint_without_its_hash_is_not_believed(unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "run")
    newest = checkpoint_files.found(tmp_path / "run")[0]
    newest.hash_file.unlink()
    with pytest.raises(IntegrityError, match="cannot be read"):
        newest.read()


def test_best_weights_that_were_lost_are_written_again_or_missed(model, brain_phantoms, unbroken, tmp_path):
    best = state(unbroken)["best_epoch"]
    run = tmp_path / "run"
    train(model, brain_phantoms, 0, run_dir=run, max_epochs=best)
    # As if the machine had died between the state's file and the weights'.
    (run / "models" / "model.pt").unlink()
    train(model, brain_phantoms, 0, run_dir=run, max_epochs=EPOCHS, resume=True)
    assert_equal_runs(run, unbroken)


def test_damaged_best_weights_are_noticed(model, brain_phantoms, unbroken, tmp_path):
    assert state(unbroken)["best_epoch"] < EPOCHS, "the phantoms must be learned before the last epoch"
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    flip(run / "models" / "model.pt")
    with pytest.raises(IntegrityError, match="of the best weights"):
        train(model, brain_phantoms, 0, run_dir=run, max_epochs=EPOCHS + 1, resume=True)


def test_what_a_killed_process_left_is_swept(model, brain_phantoms, unbroken, tmp_path):
    run = tmp_path / "run"
    train(model, brain_phantoms, 0, run_dir=run, max_epochs=1)
    left = [
        run / "checkpoints" / ".epoch_0002.pt.abc.partial",
        run / "models" / ".model.pt.abc.partial",
        run / "configs" / ".train.json.abc.partial",
        run / "checkpoints" / "epoch_0002.pt.sha256",
    ]
    for path in left:
        path.write_bytes(b"half")
    train(model, brain_phantoms, 0, run_dir=run, max_epochs=1, resume=True)
    assert not [path for path in left if path.exists()]


def test_a_run_that_never_reached_a_checkpoint_begins_anew(model, brain_phantoms, unbroken, tmp_path):
    (tmp_path / "run").mkdir()
    train(model, brain_phantoms, 0, run_dir=tmp_path / "run", max_epochs=EPOCHS, resume=True)
    assert_equal_runs(tmp_path / "run", unbroken)
    with pytest.raises(ConfigurationError, match="holds no run to resume"):
        train(model, brain_phantoms, 0, run_dir=tmp_path / "rum", max_epochs=EPOCHS, resume=True)


def test_a_run_is_not_gone_on_with_other_data(model, brain_phantoms, unbroken, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    content = datalist.read(brain_phantoms)
    content["training"].pop()
    other = datalist.write(content, tmp_path / "other.json")
    with pytest.raises(ConfigurationError, match="was begun with a datalist of SHA-256"):
        train(model, other, 0, run_dir=run, max_epochs=EPOCHS, resume=True)


@pytest.mark.slow
def test_a_run_that_stopped_early_stays_stopped(brain_phantoms, tmp_path):
    settings = {
        "image_size": 32, "batch_size": 16, "max_epochs": 6, "stop_epochs": 1, "learning_rate": 0.0,
        "device_cache": False,
    }  # fmt: skip
    run = train("brain_tumor_efficientnet_b2", three_classes(brain_phantoms, tmp_path), 0,
                run_dir=tmp_path / "run", **settings)  # fmt: skip
    before = (run / "metrics.csv").read_text(encoding="utf-8")
    assert 2 <= state(run)["epoch"] < 6
    train("brain_tumor_efficientnet_b2", tmp_path / "three.json", 0, run_dir=run, resume=True, **settings)
    assert (run / "metrics.csv").read_text(encoding="utf-8") == before


def three_classes(source: Path, folder: Path) -> Path:
    content = datalist.read(source)
    kept = [name for name in content["labels"] if name != "no_tumor"]
    content["training"] = [
        {**item, "label": kept.index(item["class_name"])}
        for item in content["training"]
        if item["class_name"] in kept
    ]
    return datalist.write({**content, "labels": kept}, folder / "three.json")


@pytest.mark.parametrize("gradients", [False, True])
def test_no_number_stops_before_the_step_and_is_named(model, brain_phantoms, unbroken, tmp_path, gradients):
    run = tmp_path / "run"
    with pytest.raises(NonFiniteError) as caught:
        train(
            model, brain_phantoms, 0, run_dir=run, max_epochs=EPOCHS,
            **planted.first(f"NotANumber(13, {gradients})"),
        )  # fmt: skip
    said = str(caught.value)
    assert said.startswith("The gradients of 1 tensors became" if gradients else "The loss became nan")
    assert "at iteration 13 (epoch 3, learning rate 0.01)" in said
    assert said.count("images/") == 8
    assert "\n" not in said
    for checkpoint in checkpoint_files.found(run):
        assert all(torch.isfinite(value).all() for value in checkpoint.read()["parts"]["network"].values())
    assert all(torch.isfinite(value).all() for value in weights.read(run / "models" / "model.pt").values())
    train(model, brain_phantoms, 0, run_dir=run, max_epochs=EPOCHS, resume=True)
    assert_equal_runs(run, unbroken)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_image_that_cannot_be_read_any_more(model, brain_phantoms, tmp_path, workers, capsys):
    """Met in epoch 3: one line, status 3; mended and resumed, the run is the unbroken one."""
    content = datalist.read(brain_phantoms)
    folder = tmp_path / "images"
    folder.mkdir()
    for item in content["training"]:
        item["image"] = shutil.copy(item["image"], folder)
    images = datalist.write(content, tmp_path / "images.json")
    settings = {"max_epochs": EPOCHS, "device_cache": False, "cache_rate": 0.0, "num_workers": workers}
    whole = train(model, images, 0, run_dir=tmp_path / "whole", **settings)
    victim = Path(datalist.part(images, 0, "train")[3]["image"])
    good = victim.read_bytes()
    run = tmp_path / "run"
    options = {**settings, **planted.first(f"Truncated({str(victim)!r}, 3)")}
    given = []
    for key, value in options.items():
        given += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    status = cli.main(["train", str(model.root), "--datalist", str(images), "--run-dir", str(run), *given])
    assert status == DataError.exit_status
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"monai-brain: {victim.name}: ") or f"{victim.name}: " in said
    assert "Traceback" not in said
    assert [found.epoch for found in checkpoint_files.found(run)] == [2, 1]
    victim.write_bytes(good)
    train(model, images, 0, run_dir=run, resume=True, **settings)
    assert_equal_runs(run, whole)


def test_the_manifest_tells_what_made_the_run(unbroken, brain_phantoms):
    manifest = read_json(unbroken / "manifest.json")
    assert manifest["datalist"]["sha256"] == sha256(brain_phantoms)
    assert manifest["seed"] == 0
    assert {"torch", "monai", "numpy"} <= {name for name, version in manifest["packages"].items() if version}
    assert {"platform", "python", "gpu", "cuda", "git", "command", "outcome", "device"} <= manifest.keys()
    assert manifest["device"] == "cpu"


def test_random_numbers_go_on_where_they_were():
    saved = random_state.state()
    drawn = [random.random(), float(np.random.rand()), float(torch.rand(()))]
    random_state.restore(saved)
    assert [random.random(), float(np.random.rand()), float(torch.rand(()))] == drawn


def test_a_checkpoint_of_another_network_is_refused(model, brain_phantoms, unbroken, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    with pytest.raises(IntegrityError, match="is of another training"):
        train(model, brain_phantoms, 0, run_dir=run, resume=True, **{"network_def#width": 12})


def test_a_state_that_is_no_number_is_not_written(tmp_path, model, brain_phantoms):
    """The last step of an epoch overflows a weight, so no loss after it can tell."""
    with pytest.raises(NonFiniteError, match=r"features\.0\.weight became infinite .* is not written"):
        train(
            model, brain_phantoms, 0, run_dir=tmp_path / "run", max_epochs=1,
            **planted.first(f"Overflow({STEPS})"),
        )  # fmt: skip
    assert not checkpoint_files.found(tmp_path / "run")
    assert not (tmp_path / "run" / "models" / "model.pt").exists()


def test_names_are_told_apart(tmp_path):
    for epoch, step in ((2, 0), (2, 12), (10000, 0), (3, 0)):
        Checkpoint.at(tmp_path, epoch, step).write({"epoch": epoch})
    (tmp_path / "checkpoints" / "epoch_best.pt").write_bytes(b"")
    assert [(found.epoch, found.step) for found in checkpoint_files.found(tmp_path)] == [
        (10000, 0), (3, 0), (2, 12), (2, 0),
    ]  # fmt: skip
