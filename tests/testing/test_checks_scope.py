"""Multi-label, regression, segmentation and 3D are refused in one line, and nothing else is asked of them."""

import pytest

from monai_brain.cli import main
from monai_brain.testing.checks import conformance
from monai_brain.testing.checks_scope import beyond

OUTPUT = "network_data_format#outputs#pred"
SIGMOID = {"postprocessing#transforms#1": {"_target_": "monai.transforms.Activationsd", "sigmoid": True}}

# what is changed of a healthy model: config, changes, and what the line says it is
OTHERS = {
    "multi-label loss": (
        "train",
        {"loss": {"_target_": "torch.nn.BCEWithLogitsLoss"}},
        "multi-label: train.json: loss#_target_ is torch.nn.BCEWithLogitsLoss.",
    ),
    "multi-label output": (
        "inference",
        SIGMOID,
        "multi-label: inference.json: postprocessing#transforms#1#sigmoid gives each class a probability",
    ),
    "regression": ("train", {"loss": {"_target_": "torch.nn.MSELoss"}}, "a regression: train.json: loss"),
    "one output": ("metadata", {f"{OUTPUT}#num_channels": 1}, "a regression, or has one output"),
    "volumes": (
        "metadata",
        {"network_data_format#inputs#image#spatial_shape": [64, 64, 64]},
        "for 3D: inputs#image#spatial_shape is [64, 64, 64].",
    ),
    "volumes by the network": (
        "inference",
        {"network_def#spatial_dims": 3},
        "for 3D: inference.json: network_def#spatial_dims is 3.",
    ),
    "segmentation": ("metadata", {f"{OUTPUT}#format": "segmentation"}, "a segmentation"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_others_are_refused_in_one_line(model, other):
    config, changes, says = OTHERS[other]
    model.edit(config, changes)
    *_, last = conformance(model.bundle)  # and no check after it
    assert (last.name, last.state) == ("scope", "failed")
    assert f"this one is {says}" in last.reason
    assert "\n" not in last.reason


def test_classifiers_of_images_are_not(model):
    assert beyond(model.bundle) == ""


def test_an_unreadable_recipe_is_another_check_s(model):
    (model.root / "configs" / "train.json").write_text("{", encoding="utf-8")
    assert beyond(model.bundle) == ""


def test_the_command_ends_there(model, capsys):
    model.edit("train", {"loss": {"_target_": "torch.nn.MSELoss"}})
    assert main(["check", str(model.root)]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["passed", "failed", "tiny:"]
    assert lines[-1] == "tiny: 1 of 2 checks failed."
