"""A bundle's facts, read without running anything in it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import monai_brain as mb
from monai_brain.bundles import Bundle, labels
from monai_brain.errors import ConfigurationError, OutputError, UnknownNameError


def test_every_way_to_name_a_model(tmp_path):
    bundle = mb.bundle("brain_tumor_resnet34")
    assert mb.bundle("brain_tumor_resnet34_classification") == bundle
    assert mb.bundle(bundle) is bundle
    copy = bundle.copy(tmp_path / "mine")
    assert mb.bundle(str(copy.root)) == copy
    assert copy.name == bundle.name
    with pytest.raises(UnknownNameError, match="Did you mean 'brain_tumor_resnet34'"):
        mb.bundle("brain_tumour_resnet34")


def test_facts_of_the_first_model():
    bundle = mb.bundle("brain_tumor_resnet34")
    assert bundle.labels == ("glioma", "meningioma", "pituitary", "no_tumor")
    assert bundle.input_shape == (1, 224, 224)
    assert "not for diagnosis" in bundle.disclaimer


@pytest.mark.parametrize(
    "channel_def",
    [{}, {"1": "a"}, {"0": "a", "2": "b"}, {"0": "a", "1": "a"}, {"0": "a", "one": "b"}, {"0": "", "1": "b"}],
)
def test_labels_that_are_no_order_are_refused(channel_def):
    with pytest.raises(ConfigurationError, match="each class once"):
        labels(channel_def)


def test_labels_go_by_number_and_not_by_text():
    names = {str(index): f"class{index}" for index in reversed(range(12))}
    assert labels(names) == tuple(f"class{index}" for index in range(12))


def test_a_copy_is_writable_and_never_lands_on_something(tmp_path):
    bundle = mb.bundle("brain_tumor_resnet34")
    copy = bundle.copy(tmp_path / "copy")
    (copy.root / "configs" / "train.json").write_text("{}")
    with pytest.raises(OutputError, match="not empty"):
        bundle.copy(copy.root)


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no configs/metadata\.json"):
        Bundle.at(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text("[1]")
    with pytest.raises(ConfigurationError, match="one JSON object"):
        _ = Bundle.at(tmp_path).labels
    (tmp_path / "configs" / "metadata.json").write_text("{}")
    with pytest.raises(UnknownNameError, match="recipe"):
        Bundle.at(tmp_path).config("train")


def test_missing_package_and_missing_folder():
    with pytest.raises(ConfigurationError, match="is not installed"):
        Bundle.in_package("no_such_package_here", "x_classification")
    with pytest.raises(ConfigurationError, match="no bundle folder"):
        Bundle.in_package("monai_brain_bundles", "x_classification")


def test_facts_need_no_torch_and_no_monai():
    code = (
        "import sys, json, monai_brain as mb\n"
        "[mb.bundle(name).labels for name in mb.models()]\n"
        "print(json.dumps([name for name in ('torch', 'monai', 'numpy') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
