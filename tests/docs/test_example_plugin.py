"""The package under docs/example_plugin: one user of each hook, of neither the brain nor the breast."""

from __future__ import annotations

import argparse
import copy
import csv
import importlib
import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from monai_brain import hookspecs
from monai_brain.bundles import Bundle
from monai_brain.data.datasets import read_dataset
from monai_brain.files import read_json
from monai_brain.hooked import KINDS

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "example_plugin"
BUNDLE = EXAMPLE / "src" / "dipstick" / "bundles" / "dipstick_classification"
RECIPES = ("train", "inference", "evaluate", "multi_gpu_train", "recipe_strong")
REPEAT = "@standardize#1"


def in_colour(recipe: dict) -> dict:
    """What new-plugin makes, for images with colours: all in which the example's recipes differ from it."""
    content = copy.deepcopy(recipe)
    steps = [
        content.get("train", {}).get("deterministic"),
        content.get("preprocessing", {}).get("transforms"),
    ]
    for loading in filter(None, steps):
        loading[0]["reader"] = {"_target_": "dipstick.colours.ColourReader"}
        loading[1]["channel_dim"] = -1
        if loading[-1]["_target_"] == "monai.transforms.RepeatChanneld":
            del loading[-1]
    if "standardize" in content:
        content["standardize"] = content["standardize"][:1]
        content["train"]["augmentation"].remove(REPEAT)
    if "train#augmentation" in content:
        content["train#augmentation"].remove(REPEAT)
    return content


@pytest.fixture
def dipstick(monkeypatch, isolated_registry):
    """The example as a plugin of this process, until the test ends."""
    monkeypatch.syspath_prepend(str(EXAMPLE / "src"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    isolated_registry.add(importlib.import_module("dipstick"))
    assert isolated_registry.broken == {}
    yield isolated_registry
    for name in [name for name in sys.modules if name.partition(".")[0] == "dipstick"]:
        del sys.modules[name]


def drawn(folder: Path, n: int = 12) -> Path:
    draw = importlib.import_module("dipstick.draw")
    assert draw.run(argparse.Namespace(output=str(folder), n=n, seed=0, json=False)) == 0
    return folder


def test_it_uses_every_hook(dipstick):
    for hook in (name for name in vars(hookspecs) if name.startswith("register_")):
        assert len(getattr(dipstick, hook.removeprefix("register_"))) == 1, hook
    named = {offer.name for kind in KINDS[1:] for offer in getattr(dipstick, kind).values()}
    assert named == {"strips", "worklist", "npz", "draw-strips"}
    for kind in KINDS[1:]:
        for offer in getattr(dipstick, kind).values():
            assert callable(offer.load())
            assert offer.help


def test_the_docs_show_each_of_its_offers(dipstick):
    text = (EXAMPLE.parent / "plugin-hooks.md").read_text(encoding="utf-8")
    for kind in KINDS[1:]:
        section = text.split(f"\n## register_{kind}\n")[1].split("\n## ")[0]
        (name,) = getattr(dipstick, kind)
        assert f"`{name}`" in section
        assert "example_plugin" in section


@pytest.mark.parametrize("name", RECIPES)
def test_its_recipes_are_those_of_a_new_plugin(name, made):
    wanted = in_colour(read_json(made.config(name)))
    assert read_json(BUNDLE / "configs" / f"{name}.json") == wanted, "take over what changed in the recipes"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Bundle:
    """What new-plugin makes today of the example's network."""
    from monai_brain.new_plugin.package import new_plugin

    network = f"{EXAMPLE / 'src' / 'dipstick' / 'network.py'}:StripReader"
    folder = tmp_path_factory.mktemp("made") / "dipstick"
    classes = ("negative", "trace", "positive")
    return new_plugin("dipstick", folder, network=network, classes=classes, size=48, channels=3).bundle


def test_its_metadata_are_true_to_what_was_measured(made):
    measured, stated = made.facts, Bundle.at(BUNDLE).facts
    for key in ("parameters", "flops", "cam_layer", "disclaimer"):
        assert stated[key] == measured[key]
    assert Bundle.at(BUNDLE).labels == made.labels
    assert Bundle.at(BUNDLE).input_shape == made.input_shape == (3, 48, 48)


def test_strips_differ_in_colour_alone(dipstick):
    draw = importlib.import_module("dipstick.draw")
    luminance = {name: np.dot((0.299, 0.587, 0.114), pad) for name, pad in draw.READINGS.items()}
    assert max(luminance.values()) - min(luminance.values()) < 0.5
    one, other = (
        draw.strip(name, np.random.default_rng(3)).astype(float) for name in ("negative", "positive")
    )
    assert np.abs(one - other).max() > 100
    assert np.abs((one - other) @ (0.299, 0.587, 0.114)).max() < 1.5  # each colour is rounded by itself


def test_the_reader_gives_every_strip(dipstick, tmp_path):
    folder = drawn(tmp_path / "strips")
    found = read_dataset("strips", folder)
    with (folder / "strips.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    assert len(found["training"]) == len(rows) == 12
    for item in found["training"]:
        row = rows[Path(item["image"]).name]
        assert (item["class_name"], item["patient_id"]) == (row["reading"], row["patient"])
    assert len({item["group"] for item in found["training"]}) == 6  # no two patients look alike


def test_the_colour_reader_keeps_the_colours(dipstick, tmp_path):
    from PIL import Image

    folder = drawn(tmp_path / "strips", 3)
    recipe = Bundle.at(BUNDLE)
    from monai_brain import recipe as recipes

    prepared = recipes.parsed(recipe, "inference").get_parsed_content("preprocessing")
    path = folder / "strip_000.png"
    image = prepared({"image": str(path)})["image"]
    assert tuple(image.shape) == (3, 48, 48)
    own = np.asarray(Image.open(path), float).mean(axis=(0, 1))
    found = np.asarray(image).mean(axis=(1, 2))
    assert np.argsort(found).tolist() == np.argsort(own).tolist()
    assert found.std() > 0.05


def test_its_package_is_as_documented():
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["monai_brain"] == {"dipstick": "dipstick"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_works_installed_in_an_environment_of_its_own(environment, tmp_path):
    environment.install(EXAMPLE)
    run = environment.run(tmp_path)
    listed = json.loads(run("list", "--json"))
    assert (listed["plugins"]["dipstick"], listed["broken"]) == ("dipstick", {})
    run("draw-strips", "-o", "strips", "--n", "72")
    run("data", "index", "strips", "strips", "-o", "strips/datalist.json")
    run(
        "data",
        "split",
        "strips/datalist.json",
        "--scheme",
        "patient",
        "--folds",
        "3",
        "-o",
        "strips/folds.json",
    )
    settings = [
        word for text in ("max_epochs=15", "batch_size=12", "learning_rate=0.01") for word in ("--set", text)
    ]
    run("train", "dipstick", "--datalist", "strips/folds.json", "--run-dir", "run", *settings)
    accuracy = read_json(tmp_path / "run" / "metrics.json")["by_case"]["overall"]["accuracy"]["value"]
    assert accuracy > 0.8  # a third is chance; only the colour tells
    run("predict", "run", "strips/strip_000.png", "strips/strip_002.png", "-o", "answers", "--explain")
    lines = (tmp_path / "answers" / "worklist.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "Research use only, not for diagnosis."
    assert len(lines) == 3
    run("export", "run", "--format", "npz", "-o", "weights.npz")
    with np.load(tmp_path / "weights.npz") as kept:
        assert kept["head.weight"].shape == (3, 16)
