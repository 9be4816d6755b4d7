"""A model's recipes: each check refuses one that is broken in its one way, and says what to change."""

import re

import pytest

from tests.testing.conftest import refused


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"seed": 0,', '"seed": 0, "seed": 1,', "holds the key 'seed' twice. Keep one"),
        ('"seed": 0,', '"seed": 0,,', "no valid JSON: .*line .*column"),
        ('"seed": 0,', '"seed": NaN,', "holds NaN"),
    ],
)
def test_strict_json(model, old, new, sentence):
    path = model.root / "configs" / "train.json"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert re.search(sentence, refused(model, "strict_json"))


def test_strict_json_refuses_what_monai_cannot_read(model):
    path = model.root / "configs" / "inference.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert "inference.json begins with a byte order mark" in refused(model, "strict_json")


def test_strict_json_asks_for_every_recipe(model):
    (model.root / "configs" / "evaluate.json").unlink()
    assert "configs/evaluate.json is missing" in refused(model, "strict_json")


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("CrossEntropyLoss", "loss#_target_ is 'CrossEntropyLoss'. Write the dotted name"),
        ("torch.nn.CrossEntropyLos", "is not installed or no class or function"),
        ("odd_network.Odd", "module cannot be imported: .*broken in two"),
    ],
)
def test_targets_locate(model, target, sentence):
    model.module("odd_network", "raise RuntimeError('broken in two')\n")
    assert re.search(sentence, refused(model.edit("train", {"loss#_target_": target}), "targets_locate"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"amp": None, "seed": None}, "lacks seed, amp at its top"),
        (
            {"optimizer#lr": 0.01},
            'optimizer#lr is 0.01, a second place for learning_rate. Write "@learning_rate"',
        ),
        ({"train#dataloader#batch_size": 5}, "a second place for batch_size"),
        ({"train#deterministic#3#size": 32}, "deterministic#3#size is 32, a second place for image_size"),
    ],
)
def test_recipe_keys(model, changes, sentence):
    assert re.search(sentence, refused(model.edit("train", changes), "recipe_keys"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network_def#width": 9}, "network_def is .* Make them equal"),
        ({"image_size": 48}, "image_size is 32 in configs/train.json and 48 in configs/inference.json"),
        (
            {"preprocessing#transforms#4": {"_target_": "monai.transforms.ScaleIntensityd", "keys": "image"}},
            "other values",
        ),
        ({"preprocessing#transforms#3#size": 16}, r"gives \(1, 32, 32\), .* \(1, 16, 16\)"),
    ],
)
def test_recipes_agree(model, changes, sentence):
    assert re.search(sentence, refused(model.edit("inference", changes), "recipes_agree"))


def test_recipes_agree_with_the_metadata(model):
    for name in ("train", "inference"):
        model.edit(name, {"image_size": 48})
    assert "image_size is 48 in configs/inference.json, 32 in network_data_format" in refused(
        model, "recipes_agree"
    )
