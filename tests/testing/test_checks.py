"""Each check refuses a model that is broken in the one way that it looks for, and says what to change."""

import importlib
import json
import re

import pytest
import torch

from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.testing.checks import CHECKS, conformance, run
from monai_brain.testing.outcome import CheckFailed, NotApplicable
from monai_brain.testing.tiny import TinyClassifier

PLUGIN = """
from pathlib import Path
import monai_brain as mb
{extra}

@mb.hookimpl
def register_bundles(register):
    register(mb.Bundle.at(Path(__file__).parent / "tiny"))
"""


def refused(model, name):
    """The sentence with which a check refuses the model."""
    with pytest.raises(CheckFailed) as caught:
        run(CHECKS[name], model.bundle)
    text = str(caught.value)
    assert "\n" not in text.strip()
    return text


def registered(model, registry, extra="", name="tiny_plugin"):
    model.module(name, PLUGIN.format(extra=extra))
    registry.add(importlib.import_module(name))
    assert registry.broken == {}


def test_a_healthy_model_passes_every_check(model, isolated_registry):
    registered(model, isolated_registry)
    isolated_registry.add(importlib.import_module("monai_brain_plugins.builtin"))
    found = conformance("tiny")
    assert [result.name for result in found] == list(CHECKS)
    assert {result.name: result.reason for result in found if result.state != "passed"} == {}
    assert all(result.seconds >= 0 for result in found)


def test_import_is_light(model, isolated_registry):
    registered(model, isolated_registry, extra="import numpy")
    assert re.search(
        "Importing plugin tiny_plugin imports numpy.*network_def", refused(model, "import_is_light")
    )


def test_import_is_light_applies_to_plugins_alone(model):
    with pytest.raises(NotApplicable, match="no plugin registers it"):
        run(CHECKS["import_is_light"], model.bundle)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"copyright": None, "monai_brain#cam_layer": None},
            "lacks copyright, monai_brain#cam_layer. Add them",
        ),
        ({"version": "0.2.0"}, "Version 0.2.0 is not in the changelog"),
        ({"network_data_format#outputs#pred": None}, "lacks 'pred'.*outputs#pred"),
        ({"network_data_format#outputs#pred#dtype": None}, "lacks outputs#pred#dtype"),
        ({"network_data_format#outputs#pred#format": "labels"}, 'A classifier\'s are "probabilities"'),
        ({"network_data_format#outputs#pred#num_channels": 3}, "num_channels is 3, its channel_def names 4"),
        (
            {"network_data_format#outputs#pred#channel_def#3": "glioma"},
            "channel_def must name each class once",
        ),
        (
            {"network_data_format#outputs#pred#channel_def#3": None},
            "num_channels is 4, its channel_def names 3",
        ),
        ({"network_data_format#inputs#image#num_channels": 3}, "num_channels is 3, its channel_def names 1"),
        ({"network_data_format#inputs#image#spatial_shape": [32, 32, 32]}, "no 2D input"),
        ({"monai_brain#paper#url": None}, "one of arxiv, doi, journal, url"),
        ({"monai_brain#paper": "a paper"}, "monai_brain#paper needs title"),
        ({"monai_brain#parameters": "many"}, "Write the number of the network's parameters"),
        ({"monai_brain#summary": "very " * 50}, "at most 100 letters"),
        ({"monai_brain#disclaimer": "Enjoy."}, "Research use only"),
    ],
)
def test_metadata_complete(model, changes, sentence):
    assert re.search(sentence, refused(model.edit("metadata", changes), "metadata_complete"))


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        (
            "metadata",
            {"monai_brain#parameters": 7},
            r"has (\d+) parameters, monai_brain#parameters says 7. Write \1",
        ),
        ("inference", {"network_def#num_classes": 5}, r"gives \(1, 5\); the metadata name 4 classes"),
        (
            "metadata",
            {"network_data_format#inputs#image#num_channels": 3},
            "does not take images 1 x 3 x 32 x 32",
        ),
        ("metadata", {"network_data_format#inputs#image#spatial_shape": [32, 48]}, "Make them square"),
        ("inference", {"network_def#depth": 3}, "cannot be built.*depth.*Mend network_def"),
    ],
)
def test_metadata_true_to_network(model, name, changes, sentence):
    assert re.search(sentence, refused(model.edit(name, changes), "metadata_true_to_network"))


def test_zoo_rules(model):
    (model.root / "LICENSE").unlink()
    (model.root / "docs" / "README.md").unlink()
    assert "lacks LICENSE, docs/README.md. Add them" in refused(model, "zoo_rules")


def test_zoo_rules_refuse_an_empty_file(model):
    (model.root / "docs" / "data_license.txt").write_text("\n", encoding="utf-8")
    assert "docs/data_license.txt of the bundle is empty" in refused(model, "zoo_rules")


def test_zoo_rules_refuse_a_large_file_but_the_weights(model):
    for name in ("models/model.pt", "models/other.pt"):
        with (model.root / name).open("ab") as stream:
            stream.truncate(26 * 2**20)
    assert refused(model, "zoo_rules").startswith("models/other.pt: larger than 25 MB")
    (model.root / "large_files.yml").write_text("large_files:\n- path: models/other.pt\n", encoding="utf-8")
    run(CHECKS["zoo_rules"], model.bundle)


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


UNUSED = """
def __init__(self, *args, **more):
    super().__init__(*args, **more)
    self.spare = nn.Linear(2, 2)
"""
PLAIN_TENSOR = """
def __init__(self, *args, **more):
    super().__init__(*args, **more)
    self.offset = torch.randn(4)
def forward(self, x):
    return super().forward(x) + self.offset
"""
WRAPPER = """
def __init__(self, *args, **more):
    nn.Module.__init__(self)
    self.module = TinyClassifier(*args, **more)
def forward(self, x):
    return self.module(x)
"""
CHANNELS_APART = """
def forward(self, x):
    return super().forward(x * torch.arange(1.0, 1 + x.shape[1]).reshape(1, -1, 1, 1))
"""
OWN_FUSE = """
def fuse(self):
    return TinyClassifier(4).eval()
"""


def forward(expression):
    return f"def forward(self, x):\n    return {expression}"


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("forward", forward("super().forward(x).softmax(1)"), "Take the softmax off the network"),
        ("forward", forward("super().forward(x)[:, :3]"), r"4 images give \(4, 3\), expected \(4, 4\)"),
        ("forward", forward("super().forward(x) / 0"), "not all finite"),
        ("forward", forward("[super().forward(x)]"), "gives list .* logits"),
        (
            "forward",
            forward("super().forward(x.flatten(1))"),
            "does not take images 4 x 1 x 32 x 32: RuntimeError",
        ),
        (
            "finite_gradients",
            UNUSED,
            "No gradient reaches spare.weight, spare.bias. Use it in forward, freeze it",
        ),
        (
            "finite_gradients",
            forward("super().forward(x) + (self.head.weight * 0).sum().sqrt()"),
            "is not finite",
        ),
        ("deterministic_eval", forward("super().forward(x) + torch.rand(())"), "depend on self.training"),
        (
            "batch_independence",
            forward("super().forward(x) - super().forward(x).mean(0)"),
            "beside it in the batch",
        ),
        ("state_dict_round_trip", PLAIN_TENSOR, "Register everything .* as a parameter or a buffer"),
        ("state_dict_round_trip", WRAPPER, "names of a wrapper: module.features"),
        ("one_and_three_channels", CHANNELS_APART, "Let only plain convolutions read the image"),
        ("loss_falls", forward("super().forward(x) * 0"), "took the loss from 1.386 to 1.386"),
        ("fused_is_equal", OWN_FUSE, "Mend the network's own fuse"),
    ],
)
def test_network(model, name, body, sentence):
    assert re.search(sentence, refused(model.network(body), name))


def test_one_and_three_channels_asks_for_the_argument(model):
    model.edit("train", {"network_def#in_channels": 1})
    assert 'network_def of configs/train.json does not take "@in_channels"' in refused(
        model, "one_and_three_channels"
    )


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (
            "layer4",
            "'layer4', which the network has not. Name its last spatial layer; it ends with .*features.6",
        ),
        ("head", "whose output is a map"),
        ("spare", "No gradient of the logits reaches layer 'spare'"),
    ],
)
def test_cam_layer_exists(model, layer, sentence):
    model.network(
        """
def __init__(self, *args, **more):
    super().__init__(*args, **more)
    self.spare = nn.Conv2d(1, 1, 1)
def forward(self, x):
    self.spare(x)
    return super().forward(x)
"""
    )
    assert re.search(
        sentence, refused(model.edit("metadata", {"monai_brain#cam_layer": layer}), "cam_layer_exists")
    )


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"network_def#depth": 3}, "Variant 'odd' sets network_def#depth, which configs/train.json has not"),
        ({"network_def#width": -1}, "cannot be built with .*variant=odd"),
        ({"network_def#num_classes": 3}, r"Variant 'odd' gives \(4, 3\) for 4 images and 4 classes"),
    ],
)
def test_variants(model, overrides, sentence):
    model.edit("metadata", {"monai_brain#variants": {"odd": overrides}})
    assert re.search(sentence, refused(model, "variants"))


def test_variants_do_not_apply_where_there_are_none(model):
    with pytest.raises(NotApplicable, match="names no variants"):
        run(CHECKS["variants"], model.edit("metadata", {"monai_brain#variants": {}}).bundle)


def test_weights_that_are_not_there_never_pass(model):
    (model.root / "models" / "model.pt").unlink()
    (found,) = conformance(model.bundle, ["weights"])
    assert found.state == "not applicable"
    assert "monai-brain train tiny --datalist FILE" in found.reason
    model.edit("metadata", {"monai_brain#weights#url": "https://example.org/model.pt"})
    (found,) = conformance(model.bundle, ["weights"])
    assert found.reason.endswith("or fetch https://example.org/model.pt as models/model.pt")


def record(model, state):
    """Weights of the model, with the SHA-256 that they have."""
    from monai_brain.files import sha256

    path = model.root / "models" / "model.pt"
    torch.save(state, path)
    model.edit("metadata", {"monai_brain#weights#sha256": sha256(path)})


def test_weights_with_another_sha256(model):
    path = model.root / "models" / "model.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert re.search("models/model.pt has SHA-256 .*Fetch the weights again", refused(model, "weights"))


def test_weights_without_a_recorded_sha256(model):
    model.edit("metadata", {"monai_brain#weights#sha256": None})
    assert re.search("weights#sha256 is missing .* Record [0-9a-f]{64}", refused(model, "weights"))


def test_weights_without_a_licence(model):
    model.edit("metadata", {"monai_brain#weights#licence": None, "monai_brain#licence": None})
    assert "Nothing states the weights' licence" in refused(model, "weights")


def test_weights_of_another_network(model):
    record(model, TinyClassifier(4, width=9).state_dict())
    assert "models/model.pt is of another network" in refused(model, "weights")


def test_weights_that_are_not_finite(model):
    state = TinyClassifier(4).state_dict()
    state["head.weight"][0, 0] = float("nan")
    record(model, state)
    assert "not finite in head.weight. Train it anew" in refused(model, "weights")


EXPORTER = """
import monai_brain as mb

def write(job, path):
    path.write_bytes(b"x")
    return {run}

def absent(job, path):
    from monai_brain.errors import MissingExtraError
    raise MissingExtraError("rareformat", "export")

@mb.hookimpl
def register_exporters(register):
    register("odd", {target})
"""


@pytest.mark.parametrize(
    ("run_code", "sentence"),
    [
        ("lambda images: job.network(images) + 1", "Format odd: .* differs from the network by 1"),
        ("lambda images: job.network(images)[:1]", "Format odd: .* for 7 images"),
    ],
)
def test_export_parity(model, isolated_registry, run_code, sentence):
    model.module("odd_exporter", EXPORTER.format(run=run_code, target="write"))
    isolated_registry.add(importlib.import_module("odd_exporter"))
    assert re.search(sentence, refused(model, "export_parity"))


def test_export_parity_names_the_extra(model, isolated_registry):
    with pytest.raises(NotApplicable, match="no installed plugin registers a format"):
        run(CHECKS["export_parity"], model.bundle)
    model.module("odd_exporter", EXPORTER.format(run="None", target="absent"))
    isolated_registry.add(importlib.import_module("odd_exporter"))
    with pytest.raises(NotApplicable, match=r"odd: rareformat is not installed.*monai-brain\[export\]"):
        run(CHECKS["export_parity"], model.bundle)


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


def test_only_and_unknown_names(model):
    assert [result.name for result in conformance(model.bundle, ["forward", "strict_json"])] == [
        "strict_json",
        "forward",
    ]
    with pytest.raises(UnknownNameError, match="Did you mean 'forward'"):
        conformance(model.bundle, ["forwards"])
    with pytest.raises(UnknownNameError, match="Did you mean 'forward'"):
        conformance(model.bundle, expected_failures={"forwards": "why"})


def test_expected_failures_carry_their_reason(model):
    model.edit(
        "metadata", {"copyright": None, "monai_brain#expected_failures": {"metadata_complete": "none yet"}}
    )
    (found,) = conformance(model.bundle, ["metadata_complete"])
    assert found.state == "expected failure"
    assert re.search(r"none yet \(.*lacks copyright", found.reason)


def test_an_expected_failure_that_passes_has_failed(model):
    (found,) = conformance(model.bundle, ["forward"], {"forward": "it was broken once"})
    assert found.state == "failed"
    assert "Take it off the expected failures" in found.reason


def test_expected_failures_need_a_reason(model):
    model.edit("metadata", {"monai_brain#expected_failures": {"forward": ""}})
    with pytest.raises(ConfigurationError, match="must give each check's name a reason"):
        conformance(model.bundle, ["forward"])


def test_whatever_a_model_raises_is_a_failure(model):
    model.network("def eval(self):\n    raise KeyError('no such mode')")
    (found,) = conformance(model.bundle, ["forward"])
    assert (found.state, "no such mode" in found.reason) == ("failed", True)


def test_checks_leave_the_process_as_it_was(model):
    import logging
    import random

    import numpy as np

    def state():
        return (
            random.getstate(),
            np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist(),
            logging.getLogger().level,
            logging.getLogger().handlers[:],
            logging.root.manager.disable,
        )

    before = state()
    conformance(model.bundle, ["forward", "loss_falls", "phantom_run", "federated_round"])
    assert state() == before
