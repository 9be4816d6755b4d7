"""The stronger recipe beside each paper's: the same bundle, an overlay, and a run that says what it was."""

from __future__ import annotations

import csv
import json

import pytest

import monai_brain as mb
from monai_brain import recipe
from monai_brain.cli import main
from monai_brain.files import read_json
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training.workflow import train

NEW_IDS = {"train#trainer#prepare_batch", "train#key_metric#accuracy#output_transform"}


@pytest.fixture
def tiny(tmp_path):
    return tiny_bundle(tmp_path / "bundle")


def test_the_command_line_trains_by_it(tiny, brain_phantoms, tmp_path, capsys):
    words = ["train", str(tiny.root), "--recipe", "strong", "--datalist", str(brain_phantoms), "--json"]
    assert main([*words, "--run-dir", str(tmp_path / "run"), "--set", "label_smoothing=0.05"]) == 0
    run = tmp_path / "run"
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["run"] == str(run)
    config = read_json(run / "configs" / "train.json")
    assert config["optimizer"]["_target_"] == "torch.optim.AdamW"
    assert config["label_smoothing"] == 0.05
    assert config["ema_decay"] == 0.999


def test_an_overlay_of_ones_own_is_a_file(tiny, brain_phantoms, tmp_path):
    (tmp_path / "mine.json").write_text('{"learning_rate": 0.25}', encoding="utf-8")
    words = [
        "train",
        str(tiny.root),
        "--recipe",
        str(tmp_path / "mine.json"),
        "--datalist",
        str(brain_phantoms),
    ]
    assert main([*words, "--run-dir", str(tmp_path / "run"), "--set", "max_epochs=1"]) == 0
    assert read_json(tmp_path / "run" / "configs" / "train.json")["learning_rate"] == 0.25


def test_an_unknown_recipe_is_refused_with_the_nearest(tiny, brain_phantoms, capsys):
    assert main(["train", str(tiny.root), "--recipe", "stronk", "--datalist", str(brain_phantoms)]) == 2
    assert "Did you mean 'recipe_strong'" in capsys.readouterr().err


def test_a_runs_own_ways_to_train_are_the_bundles(tiny, brain_phantoms, tmp_path):
    """A run by the paper's recipe may be trained on by the stronger one, with that one's own settings."""
    run = train(tiny, brain_phantoms, 0, run_dir=tmp_path / "run", max_epochs=1, learning_rate=0.5)
    for name in ("recipe_strong.json",):
        assert read_json(run / "configs" / name) == read_json(tiny.root / "configs" / name)


def test_the_rate_rises_and_then_falls_to_nothing(tiny, brain_phantoms, tmp_path):
    run = train(
        tiny,
        brain_phantoms,
        0,
        run_dir=tmp_path / "run",
        overlays=["recipe_strong"],
        max_epochs=5,
        warmup=0.4,
    )
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        rates = [float(line["learning_rate"]) for line in csv.DictReader(stream)]
    peak = read_json(run / "configs" / "train.json")["learning_rate"]
    assert rates[0] < rates[1] == pytest.approx(peak)
    assert rates[1] > rates[2] > rates[3] > rates[4] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("model", mb.models())
def test_the_overlay_replaces_what_stands_there(model):
    """A misspelled id of an overlay would add a key that nobody reads."""
    bundle = mb.bundle(model)
    below = recipe.workflow(bundle, ["train"], {}, kind="train").parser
    above = read_json(bundle.config("recipe_strong"))
    assert {key for key in above if "#" in key and key not in below} <= NEW_IDS
    text = bundle.config("recipe_strong").read_text("utf-8") + bundle.config("train").read_text("utf-8")
    settings = [
        key for key, value in above.items() if isinstance(value, int | float | list) and key[0] != "+"
    ]
    assert not [key for key in settings if f"@{key}" not in text]
