"""How checks are run: all of them on a healthy model, some of them, and those that are expected to fail."""

import importlib
import re

import pytest
import torch

from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.testing.checks import CHECKS, conformance
from tests.testing.conftest import registered


def test_a_healthy_model_passes_every_check(model, isolated_registry):
    registered(model, isolated_registry)
    isolated_registry.add(importlib.import_module("monai_brain_plugins.builtin"))
    found = conformance("tiny")
    assert [result.name for result in found] == list(CHECKS)
    assert {result.name: result.reason for result in found if result.state != "passed"} == {}
    assert all(result.seconds >= 0 for result in found)


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
