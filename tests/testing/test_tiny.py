"""The tiny model that other tests train."""

import pytest
import torch

import monai_brain as mb
from monai_brain.errors import OutputError
from monai_brain.files import sha256
from monai_brain.testing.tiny import TinyClassifier, tiny_bundle


def test_without_weights(tmp_path):
    bundle = tiny_bundle(tmp_path)  # an empty folder will do
    assert (bundle.name, bundle.labels) == ("tiny", ("glioma", "meningioma", "pituitary", "no_tumor"))
    assert (bundle.input_shape, bundle.weights) == ((1, 32, 32), None)
    with pytest.raises(OutputError, match="not empty"):
        tiny_bundle(tmp_path)


def test_with_weights_that_are_the_same_each_time(tmp_path):
    torch.manual_seed(5)
    first = tiny_bundle(tmp_path / "a", weights=True)
    second = tiny_bundle(tmp_path / "b", weights=True)
    assert first.weights_sha256 == sha256(first.weights)
    one, other = (mb.network(bundle, "shipped").state_dict() for bundle in (first, second))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_network():
    images = torch.zeros(2, 3, 20, 24)
    assert TinyClassifier(5, in_channels=3).eval()(images).shape == (2, 5)
