"""Own data with own class names: refused with a way out, renamed, or given a new head."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import monai_brain as mb
from monai_brain import cli
from monai_brain.data import datalist, phantoms, splits
from monai_brain.data.class_names import maps, nearest
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import predictions
from monai_brain.files import read_json
from monai_brain.inference import weights
from monai_brain.testing.checks import check
from monai_brain.testing.tiny import tiny_bundle
from monai_brain.training import own_classes
from monai_brain.training.workflow import train

BRAIN = ("glioma", "meningioma", "pituitary", "no_tumor")
MODELS = ("brain_tumor_resnet34", "brain_tumor_efficientnet_b2", "mammography_quality_parb_kan")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The tiny model, trained on four classes of phantoms."""
    folder = tmp_path_factory.mktemp("trained")
    written = phantoms.write("brain", folder, 160, seed=1, size=40)
    folds = datalist.write(splits.split(datalist.read(written), "patient", folds=4), folder / "folds.json")
    model = tiny_bundle(folder / "tiny")
    return train(model, folds, 0, run_dir=folder / "run", max_epochs=12)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Two folders of images with names that no model knows."""
    folder = tmp_path_factory.mktemp("own")
    written = phantoms.write("brain", folder / "made", 240, seed=5, size=64, classes=["glioma", "no_tumor"])
    names = {"glioma": "lesion", "no_tumor": "control"}
    for item in datalist.read(written)["training"]:
        place = folder / "images" / names[item["class_name"]]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(item["image"], place / f"{item['patient_id']}_{Path(item['image']).name}")
    return folder / "images"


def command(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folds(images) -> Path:
    """The folders, indexed and split by the command line."""
    file = images.parent / "own.json"
    assert command("data", "index", "folders", images, "-o", file) == 0
    assert (
        command(
            "data",
            "split",
            file,
            "--scheme",
            "kfold",
            "--allow-leakage",
            "--folds",
            3,
            "-o",
            images.parent / "folds.json",
        )
        == 0
    )
    return images.parent / "folds.json"


def test_unknown_classes_are_refused_with_what_to_write(trained, folds, tmp_path, capsys):
    status = command("train", trained, "--datalist", folds, "--run-dir", tmp_path / "run")
    assert status == 2
    said = capsys.readouterr().err
    assert "Unknown classes in the data: control, lesion. Expected: glioma, meningioma, " in said
    assert "--map control=no_tumor --map lesion=CLASS" in said
    assert "--new-head" in said
    assert not (tmp_path / "run").exists()


def test_a_map_is_two_names(trained, folds, tmp_path, capsys):
    assert (
        command("train", trained, "--datalist", folds, "--run-dir", tmp_path / "run", "--map", "lesion") == 2
    )
    assert "--map takes OLD=NEW" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("Glioma_Tumour", BRAIN, "glioma"),
        ("notumor", BRAIN, "no_tumor"),
        ("healthy", BRAIN, "no_tumor"),
        ("pituitary adenoma", BRAIN, "pituitary"),
        ("meningiom", BRAIN, "meningioma"),
        ("incomplete_breast", ("complete", "incomplete"), "incomplete"),
        ("cut-off", ("complete", "incomplete"), "incomplete"),
        ("lesion", BRAIN, None),
    ],
)
def test_the_nearest_class(name, labels, expected):
    assert nearest(name, labels) == expected


def test_a_map_that_cannot_be_guessed_names_its_place():
    assert maps(["control", "lesion"], BRAIN) == "--map control=no_tumor --map lesion=CLASS"


def test_renamed_classes_are_the_models(trained, folds, tmp_path):
    run = train(
        trained, folds, 0, weights="shipped", run_dir=tmp_path / "run", max_epochs=1,
        rename={"control": "no_tumor", "lesion": "glioma"},
    )  # fmt: skip
    found = predictions.read(run / "predictions.csv")
    assert found.classes == mb.bundle(trained).labels
    assert {found.classes[index] for index in found.label} == {"no_tumor", "glioma"}
    assert mb.bundle(run).labels == mb.bundle(trained).labels


@pytest.mark.parametrize("model", MODELS)
def test_the_head_is_what_depends_on_the_number_of_classes(model):
    pytest.importorskip("kan")
    found = own_classes.head(mb.bundle(model), {"labels": ["a", "b", "c"], "image_size": 64})
    last = {"brain_tumor_efficientnet_b2": "_fc", "mammography_quality_parb_kan": "fc.out"}.get(model, "fc")
    assert found == [f"{last}.weight", f"{last}.bias"]


def test_a_new_head_keeps_every_other_weight(trained, tmp_path):
    torch.manual_seed(3)
    network = weights.network(trained)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    names = ["head.weight", "head.bias"]
    weights.start(network, "shipped", trained, names)
    shipped = weights.read(trained / "models" / "model.pt")
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name] if name in names else shipped[name]), name
    with pytest.raises(ConfigurationError, match=r"Did you mean 'head\.weight'"):
        weights.start(network, "shipped", trained, ["head.weigth"])


@pytest.mark.slow
def test_own_folders_become_a_model(trained, folds, images, tmp_path, capsys):
    """Index, split, train, predict, export, check, MONAI's runner: no file is edited on the way."""
    run = tmp_path / "run"
    status = command(
        "train", trained, "--datalist", folds, "--from", "shipped", "--new-head", "--run-dir", run,
        "--set", "max_epochs=20", "--set", "learning_rate=0.003",
    )  # fmt: skip
    assert status == 0, capsys.readouterr().err
    bundle = mb.bundle(run)
    assert bundle.labels == ("control", "lesion")
    assert read_json(run / "configs" / "train.json")["new_head"] == ["head.weight", "head.bias"]
    assert "control, lesion" in (run / "docs" / "README.md").read_text(encoding="utf-8").partition("\n")[0]

    found = predictions.read(run / "predictions.csv").where(split="test")
    right = int(np.sum(found.label == found.predicted))
    # Under chance so many right or more come once in a thousand draws.
    draws = np.random.default_rng(0).binomial(len(found), 0.5, 100_000)
    assert right > np.quantile(draws, 0.999), f"{right} of {len(found)}"

    assert command("predict", run, images / "lesion", "-o", tmp_path / "answers") == 0
    assert predictions.read(tmp_path / "answers" / "predictions.csv").classes == ("control", "lesion")
    assert command("export", run, "--format", "state_dict", "-o", tmp_path / "weights.pt") == 0
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "--config_file", run / "configs" / "inference.json",
         "--bundle_root", run, "--dataset_dir", images / "control", "--output_dir", tmp_path / "monai"],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    by_monai = predictions.read(tmp_path / "monai" / "predictions.csv")
    assert len(by_monai) == len(list((images / "control").iterdir()))


@pytest.mark.slow
def test_the_run_of_own_classes_passes_the_kit(trained, folds, tmp_path):
    run = train(trained, folds, 0, weights="shipped", new_head=True, run_dir=tmp_path / "run", max_epochs=1)
    failed = [outcome for outcome in check(run) if outcome.state == "failed"]
    assert not failed


def test_the_order_of_the_classes_in_the_file_means_nothing(trained, folds, tmp_path):
    content = json.loads(folds.read_text(encoding="utf-8"))
    assert content["labels"] == ["control", "lesion"]
    content["labels"] = ["lesion", "control"]
    for item in content["training"]:
        item["label"] = content["labels"].index(item["class_name"])
    turned = folds.with_name("turned.json")
    turned.write_text(json.dumps(content), encoding="utf-8")
    matrices = []
    for number, file in enumerate((folds, turned)):
        run = train(
            trained,
            file,
            0,
            weights="shipped",
            new_head=True,
            run_dir=tmp_path / str(number),
            max_epochs=6,
            learning_rate=0.003,
        )
        matrices.append(read_json(run / "metrics.json")["by_case"]["confusion_matrix"]["counts"])
    assert matrices[0] == matrices[1]
    assert all(map(any, zip(*matrices[0], strict=True)))  # both classes are predicted, so a turn would show
