"""Bundles in the shape of the model zoo's classifiers: bare targets, scripts, YAML, no facts of ours."""

import json

import pytest

from monai_brain.bundles import Bundle
from monai_brain.safety import trust
from monai_brain.safety.verify import verify

IMAGE = {"type": "image", "format": "RGB", "num_channels": 3, "spatial_shape": [64, 64],
         "dtype": "float32", "value_range": [0, 1], "is_patch_data": False,
         "channel_def": {"0": "R", "1": "G", "2": "B"}}  # fmt: skip
PRED = {"type": "probabilities", "format": "classes", "num_channels": 2, "spatial_shape": [1, 2],
        "dtype": "float32", "value_range": [0, 1], "is_patch_data": False,
        "channel_def": {"0": "in", "1": "out"}}  # fmt: skip
METADATA = {
    "version": "0.1.0",
    "changelog": {"0.1.0": "first"},
    "monai_version": "1.4.0",
    "task": "A classification",
    "network_data_format": {"inputs": {"image": IMAGE}, "outputs": {"pred": PRED}},
}
INFERENCE = {
    "imports": ["$import json", "$import os"],
    "bundle_root": ".",
    "dataset_dir": "/workspace/data",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network_def": {"_target_": "SEResNet50", "spatial_dims": 2, "in_channels": 3, "num_classes": 2},
    "network": "$@network_def.to(@device)",
    "preprocessing": {"_target_": "Compose", "transforms": [{"_target_": "LoadImaged", "keys": "image"}]},
}


@pytest.fixture
def bundle(tmp_path):
    """A function that writes a bundle of given files, JSON or text."""

    def write(name, files):
        root = tmp_path / name
        for path, content in {"configs/metadata.json": METADATA, "LICENSE": "own", **files}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return root

    return write


def endoscopy(bundle):
    return bundle(
        "inbody_classification",
        {
            "configs/inference.json": INFERENCE,
            "configs/train.json": INFERENCE | {"loss": {"_target_": "torch.nn.CrossEntropyLoss"}},
            "docs/README.md": "card",
            "scripts/prepare.py": "import sys\n",
            "large_files.yml": "large_files:\n",
        },
    )


def test_a_whole_one_with_scripts_beside_it(bundle):
    account = verify(endoscopy(bundle))
    assert (account.name, account.trusted, account.refused, account.targets) == ("inbody", None, [], [])
    assert account.sources == ["scripts/prepare.py"]
    assert "configs/inference.json imports#1: $import os" in account.expressions
    assert account.escapes == [
        f"configs/{name}.json dataset_dir: /workspace/data" for name in ("inference", "train")
    ]
    assert account.notes[0] == "lacks models/model.pt, listed in large_files.yml"
    assert "nothing under monai_brain" in account.notes[1]


def test_one_whose_data_come_from_its_own_script_and_that_cannot_train(bundle):
    own = {"data": {"_target_": "scripts.lists.ImageList", "filename": "./images.json"}}
    root = bundle(
        "density_classification", {"configs/inference.json": INFERENCE | own, "scripts/lists.py": ""}
    )
    account = verify(root)
    assert account.targets == ["configs/inference.json data#_target_: scripts.lists.ImageList"]
    assert {"lacks configs/train.json", "lacks docs/README.md", "lacks models/model.pt"} <= {*account.notes}


def test_one_that_registers_code_when_it_begins(bundle):
    begin = {"initialize": ["$sys.path.append(@bundle_root)", "$import scripts"]}
    root = bundle("nuclei_classification", {"configs/inference.json": INFERENCE | begin})
    assert sum("initialize#" in line for line in verify(root).expressions) == 2
    with pytest.raises(trust.TrustError, match="Nothing of it was run"):
        trust.admit(Bundle.at(root))


def test_a_template_in_yaml(bundle):
    root = bundle("template", {"configs/inference.yaml": "a: $1\n", "configs/train.yaml": "a: 1\n"})
    account = verify(root)
    assert account.sources == ["configs/inference.yaml", "configs/train.yaml"]
    assert "lacks configs/inference.json; inference.yaml is not read here: write it as JSON" in account.notes


@pytest.mark.slow  # builds the network
def test_check_names_what_such_a_bundle_lacks(bundle):
    from monai_brain.testing.checks import conformance

    only = [
        "metadata_complete",
        "targets_locate",
        "recipe_keys",
        "metadata_true_to_network",
        "forward",
        "weights",
    ]
    with trust.given():
        found = {one.name: one for one in conformance(endoscopy(bundle), only)}
    assert {name for name, one in found.items() if one.state == "failed"} == {
        "metadata_complete", "targets_locate", "recipe_keys", "metadata_true_to_network",
    }  # fmt: skip
    assert "required_packages_version" in found["metadata_complete"].reason
    assert "'SEResNet50'. Write the dotted name" in found["targets_locate"].reason
    assert "monai_brain#parameters says None" in found["metadata_true_to_network"].reason
    assert (found["forward"].state, found["weights"].state) == ("passed", "not applicable")


@pytest.mark.slow  # imports torch
def test_check_names_yaml(bundle):
    from monai_brain.testing.checks import conformance

    with trust.given():
        (found,) = conformance(bundle("template", {"configs/inference.yaml": "a: 1\n"}), ["targets_locate"])
    assert (found.state, "no recipe in JSON" in found.reason) == ("failed", True)
