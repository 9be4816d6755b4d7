"""A model at work: each check refuses one that is broken in its one way, and says what to change."""

import json
import re

import pytest

from monai_brain.testing.checks import CHECKS, run
from monai_brain.testing.outcome import NotApplicable
from tests.testing.conftest import refused


def test_no_network_at_import(model):
    model.network(
        """
def __init__(self, *args, **more):
    super().__init__(*args, **more)
    import urllib.request
    try:
        urllib.request.urlopen("https://weights.invalid/model.pt", timeout=1)
    except OSError:
        pass
"""
    )
    assert "Building the network asks for weights.invalid. Fetch weights in load_imagenet()" in refused(
        model, "no_network_at_import"
    )


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        (
            "inference",
            {"evaluator": None, "run": []},
            "configs/inference.json lacks evaluator, which MONAI asks for",
        ),
        (
            "train",
            {"train#inferer": None, "train#trainer#inferer": "@inferer"},
            "train.json lacks train#inferer",
        ),
        (
            "train",
            {"train#preparation": "@train#preprocessing", "train#dataset#transform": "@train#preparation"},
            "train.json has train_preprocessing under another id",
        ),
        ("train", {"train#dataset#data": "$1 / 0"}, "configs/train.json: .*ZeroDivisionError"),
    ],
)
def test_properties(model, name, changes, sentence):
    assert re.search(sentence, refused(model.edit(name, changes), "properties"))


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("inference", {"preprocessing": ["$lambda item: item"]}, "is no monai.transforms.Compose"),
        ("inference", {"postprocessing": None}, "configs/inference.json has no postprocessing. Add it"),
        (
            "train",
            {"train#trainer#max_epochs": None},
            "lacks train#trainer#max_epochs, which MONAI Label sets",
        ),
        ("train", {"train#handlers#0": "@inferer"}, "to which MONAI Label adds its own"),
        ("train", {"reseed": "@train#handlers#0"}, "reseed counts the handlers"),
    ],
)
def test_monai_label(model, name, changes, sentence):
    assert re.search(sentence, refused(model.edit(name, changes), "monai_label"))


def test_federated_round_that_cannot_begin(model):
    model.edit("train", {"initialize": ["$1 / 0"]})
    assert re.search("The federated client: .*ZeroDivisionError", refused(model, "federated_round"))


def test_federated_round_that_trains_nothing(model):
    model.network(
        """
def __init__(self, num_classes, in_channels, width):
    nn.Module.__init__(self)
    self.head = nn.Linear(in_channels, num_classes)
def forward(self, x):
    return self.head(x.mean(dim=(2, 3)))
"""
    ).edit("train", {"optimizer#params": "$[torch.nn.Parameter(torch.zeros(1))]"})
    assert "hands back no change of weights" in refused(model, "federated_round")


def test_phantom_run_that_records_no_weights(model):
    steps = json.loads((model.root / "configs" / "train.json").read_text("utf-8"))["run"]
    model.edit("train", {"run": [step for step in steps if "conclude" not in step]})
    assert "Let the recipe's run end with workflow.conclude" in refused(model, "phantom_run")


def test_phantom_run_that_is_judged_by_other_images_than_it_predicts(model):
    model.edit("train", {"test#dataset#transform": "$monai.transforms.Compose(@train#deterministic)"})
    assert re.search("predicts probabilities that differ by .* from those", refused(model, "phantom_run"))


def test_phantom_run_that_does_not_predict(model):
    model.edit("inference", {"preprocessing#transforms#1#channel_dim": 5})
    assert "The run does not predict: " in refused(model, "phantom_run")


def test_phantom_run_needs_phantoms(model):
    with pytest.raises(NotApplicable, match="names no phantoms"):
        run(CHECKS["phantom_run"], model.edit("metadata", {"monai_brain#phantom": None}).bundle)


def test_a_model_without_phantoms_is_trained_on_noise_elsewhere(model):
    model.edit("metadata", {"monai_brain#phantom": None})
    run(CHECKS["properties"], model.bundle)
