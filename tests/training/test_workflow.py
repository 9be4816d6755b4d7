"""One training, from a datalist to a run folder that is a model."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from monai_brain import recipe
from monai_brain.bundles import Bundle
from monai_brain.data import datalist
from monai_brain.errors import ConfigurationError, IntegrityError, ModelError, OutputError
from monai_brain.evaluation import predictions
from monai_brain.files import read_json, sha256
from monai_brain.inference import weights
from monai_brain.training.workflow import train
from tests.conftest import SMALL

MODEL = "brain_tumor_resnet34"
FILES = [
    *("LICENSE", "checkpoints/epoch_0002.pt", "docs/README.md", "manifest.json", "models/model.pt"),
    *("configs/inference.json", "configs/metadata.json", "configs/train.json"),
    *("metrics.csv", "metrics.json", "predictions.csv"),
]


def test_a_run_folder_holds_all_that_the_readme_says(run):
    for name in FILES:
        assert (run / name).is_file(), name
    assert not list(run.rglob("*.partial"))
    manifest = read_json(run / "manifest.json")
    assert manifest["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert manifest["seed"] == 0
    assert manifest["outcome"]["epochs"] == 2
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        assert [line["epoch"] for line in csv.DictReader(stream)] == ["1", "2"]


def test_the_run_is_a_bundle_with_the_recipe_as_resolved(run):
    bundle = Bundle.at(run)
    assert bundle.name == MODEL
    assert bundle.input_shape == (1, 32, 32)
    assert bundle.weights_sha256 == sha256(run / "models" / "model.pt")
    config = read_json(run / "configs" / "train.json")
    assert (config["image_size"], config["max_epochs"], config["bundle_root"]) == (32, 2, ".")
    assert read_json(run / "configs" / "inference.json")["image_size"] == 32
    network = weights.network(run, weights="shipped")
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 4)


def test_the_run_states_the_size_of_its_own_network(run):
    network = weights.network(run, weights="shipped")
    assert Bundle.at(run).facts["parameters"] == sum(part.numel() for part in network.parameters())
    assert (
        Bundle.at(run).facts["flops"] < weights.registry.bundle(MODEL).facts["flops"] / 40
    )  # 32 px, not 224


def test_predictions_are_of_the_validation_and_test_parts_alone(run, brain_phantoms):
    found = predictions.read(run / "predictions.csv")
    for side in ("validation", "test"):
        expected = {item["image"] for item in datalist.part(brain_phantoms, 0, side)}
        assert set(found.image[found.split == side]) == expected
    assert len(found) == sum(len(datalist.part(brain_phantoms, 0, side)) for side in ("validation", "test"))
    assert set(found.model) == {MODEL}
    assert set(found.weights_sha256) == {Bundle.at(run).weights_sha256}


def test_predictions_are_what_the_kept_weights_give(run):
    """Held against a forward pass by hand: decode, 0..255, resize, standardise."""
    import cv2

    found = predictions.read(run / "predictions.csv")
    network = weights.network(run, weights="shipped")
    for row in list(found)[:5]:
        grey = cv2.imread(row.image, cv2.IMREAD_UNCHANGED).astype(np.float32)
        small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
        image = torch.from_numpy((small - small.mean()) / small.std())[None, None]
        with torch.no_grad():
            expected = network(image)[0].numpy()
        np.testing.assert_allclose([row.logits[name] for name in found.classes], expected, atol=1e-4)


def test_same_seed_same_weights(run, brain_phantoms, tmp_path):
    again = train(MODEL, brain_phantoms, 0, run_dir=tmp_path / "again", **SMALL)
    assert sha256(again / "models" / "model.pt") == sha256(run / "models" / "model.pt")


def test_a_resumed_run_equals_the_unbroken_one(run, brain_phantoms, tmp_path):
    folder = tmp_path / "resumed"
    train(MODEL, brain_phantoms, 0, run_dir=folder, **{**SMALL, "max_epochs": 1})
    train(MODEL, brain_phantoms, 0, run_dir=folder, resume=True, **SMALL)
    first, second = (
        torch.load(place / "checkpoints" / "epoch_0002.pt", weights_only=True) for place in (run, folder)
    )
    for name, value in first["parts"]["network"].items():
        assert torch.equal(value, second["parts"]["network"][name]), name
    assert (folder / "metrics.csv").read_text().count("\n") == 3


def test_nothing_is_trained_over_a_run(run, brain_phantoms):
    with pytest.raises(OutputError, match="holds a run already"):
        train(MODEL, brain_phantoms, 0, run_dir=run, **SMALL)


def test_an_unknown_key_is_refused_with_the_nearest(brain_phantoms, tmp_path):
    with pytest.raises(ConfigurationError, match=r"no key 'max_epoch'\. Did you mean 'max_epochs'"):
        train(MODEL, brain_phantoms, 0, run_dir=tmp_path / "run", max_epoch=1)
    with pytest.raises(ConfigurationError, match=r"Did you mean 'optimizer#lr'"):
        train(MODEL, brain_phantoms, 0, run_dir=tmp_path / "run", **{"optimizer#lrr": 1})


def test_a_fault_of_a_recipe_is_named_by_its_first_cause(brain_phantoms, tmp_path):
    with pytest.raises(ConfigurationError, match=r"max_epochs|str|int"):
        train(MODEL, brain_phantoms, 0, run_dir=tmp_path / "run", **{**SMALL, "max_epochs": "many"})


def test_a_loss_that_is_no_number_stops_before_the_weights(brain_phantoms, tmp_path):
    with pytest.raises(Exception, match=r"loss became nan at iteration 1 .*look at the batch: images/"):
        train(
            MODEL,
            brain_phantoms,
            0,
            run_dir=tmp_path / "run",
            **{**SMALL, "train#augmentation#5#offsets": [1e38, 1e39]},
        )
    assert not (tmp_path / "run" / "models" / "model.pt").exists()


def test_a_variant_is_trained_and_predicted_by_its_own_network(brain_phantoms, tmp_path):
    folder = train(MODEL, brain_phantoms, 0, run_dir=tmp_path / "run", variant="resnet34", **SMALL)
    kept = weights.read(folder / "models" / "model.pt")
    assert "conv1.weight" in kept
    assert weights.network(folder, weights="shipped").state_dict().keys() == kept.keys()


def test_replacing_the_datasets_data_changes_what_is_trained(brain_phantoms, tmp_path):
    """MonaiAlgo and MONAI Label train on their own items by this one key."""
    items = datalist.part(brain_phantoms, 0, "train", Bundle.at(weights.registry.bundle(MODEL).root).labels)[
        :16
    ]
    data = [{"image": item["image"], "label": 0} for item in items]
    folder = train(
        MODEL, brain_phantoms, 0, run_dir=tmp_path / "run", **{**SMALL, "train#dataset#data": data}
    )
    predicted = predictions.read(folder / "predictions.csv")
    scores = predicted.logits.mean(axis=0)
    assert scores.argmax() == 0  # all it ever saw was the first class


def test_train_json_and_inference_json_say_the_same():
    bundle = weights.registry.bundle(MODEL)
    training, inference = (read_json(bundle.config(name)) for name in ("train", "inference"))
    assert training["network_def"] == inference["network_def"]
    assert [*training["train"]["deterministic"], *training["standardize"]] == inference["preprocessing"][
        "transforms"
    ]
    for key in ("image_size", "in_channels", "labels", "device", "amp", "inferer"):
        assert training[key] == inference[key], key


def test_flipped_byte_truncated_and_pickled_weights_are_refused(run, tmp_path):
    good = (run / "models" / "model.pt").read_bytes()
    bundle = Bundle.at(run).copy(tmp_path / "copy")
    place = bundle.root / "models" / "model.pt"
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    place.write_bytes(flipped)
    with pytest.raises(IntegrityError, match="recorded SHA-256"):
        weights.network(bundle, weights="shipped")
    for content, reason in (
        (good[: len(good) // 2], "cannot be read as weights"),
        (b"", "cannot be read as weights"),
    ):
        place.write_bytes(content)
        with pytest.raises(IntegrityError, match=reason):
            weights.read(place)
    torch.save({"net": torch.nn.Linear(2, 2)}, place)
    with pytest.raises(IntegrityError, match="more than tensors"):
        weights.read(place)


def test_weights_of_another_network_are_refused_in_one_line(run, tmp_path):
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ModelError) as caught:
        weights.network(MODEL, weights=tmp_path / "other.pt")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_running_outside_of_a_recipe_says_so():
    with pytest.raises(ConfigurationError, match="No recipe is being evaluated"):
        recipe.running()


def test_metrics_are_those_of_the_predictions(run):
    found = predictions.read(run / "predictions.csv").where(split="test")
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["by_case"]["overall"]["accuracy"]["value"] == pytest.approx(
        float(np.mean(found.label == found.predicted))
    )
