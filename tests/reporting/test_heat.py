"""Maps in the page are those that `explain` makes, of the network that answered."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from monai_brain.data import phantoms
from monai_brain.evaluation.predictions import read, write
from monai_brain.inference.explain import explain
from monai_brain.inference.predict import predict
from monai_brain.reporting.heat import SIDE, maps
from monai_brain.reporting.page import report
from monai_brain.reporting.source import read_source
from monai_brain.testing.tiny import tiny_bundle

from .conftest import Strict

pytest.importorskip("pytorch_grad_cam", reason="the extra explain is not installed")


@pytest.fixture
def trained(tmp_path):
    """A run folder of the tiny model with weights, and its answers to six phantoms."""
    bundle = tiny_bundle(tmp_path / "run", weights=True)
    images = phantoms.write("brain", tmp_path / "phantoms", 6, seed=3, size=48).parent / "images"
    answers = predict(bundle.root, [images]).predictions
    paths = [str(images / name) for name in answers.case]
    labels = [answers.classes[i % 4] for i in range(6)]
    write(answers.replaced(image=paths, label=labels, split="test"), bundle.root / "predictions.csv")
    return bundle.root


def test_a_map_is_the_explanation_made_small(trained):
    source = read_source(trained)
    found = maps(source, [4, 1])
    assert set(found.found) == {4, 1}
    assert found.layer
    (one,) = explain(trained, [source.predictions.image[4]])
    cells = np.frombuffer(base64.b64decode(found.found[4]), np.uint8).reshape(SIDE, SIDE)
    expected = 255 * cv2.resize(one.heat, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert np.abs(cells - expected).max() <= 1


def test_failures_get_their_maps_first(trained):
    data = Strict(report(trained, draws=50, most_maps=2).read_text(encoding="utf-8")).data
    assert {int(row) for row in data["maps"]} == set(data["order"][:2])
    none = Strict(report(trained, draws=50, most_maps=0).read_text(encoding="utf-8")).data
    assert none["maps"] == {}


def test_another_network_explains_nothing(trained):
    given = read(trained / "predictions.csv")
    write(given.replaced(weights_sha256="0" * 64), trained / "predictions.csv")
    found = maps(read_source(trained), [0])
    assert found.found == {}
    assert "not the one that made them" in found.says


def test_without_the_network_the_page_says_so(trained):
    (trained / "models" / "model.pt").unlink()
    source = report(trained, draws=50).read_text(encoding="utf-8")
    assert "No maps: the trained network is not beside the predictions." in source
