"""Weights and exported forms: each check refuses those broken in its one way, and says what to change."""

import importlib
import re

import pytest
import torch

from monai_brain.testing.checks import CHECKS, conformance, run
from monai_brain.testing.outcome import NotApplicable
from monai_brain.testing.tiny import TinyClassifier
from tests.testing.conftest import refused


def test_weights_that_are_not_there_never_pass(model):
    (model.root / "models" / "model.pt").unlink()
    (found,) = conformance(model.bundle, ["weights"])
    assert found.state == "not applicable"
    assert "monai-brain train tiny --datalist FILE" in found.reason
    model.edit("metadata", {"monai_brain#weights#url": "https://example.org/model.pt"})
    (found,) = conformance(model.bundle, ["weights"])
    assert found.reason.endswith("or fetch https://example.org/model.pt by `monai-brain weights get tiny`")


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
