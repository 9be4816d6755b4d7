"""Every model that comes with monai_brain meets every check."""

import pytest

import monai_brain as mb
from monai_brain.registry import registry
from monai_brain.testing.checks import CHECKS, conformance
from monai_brain.testing.parametrize import parametrize_with_checks
from monai_brain.testing.tiny import tiny_bundle

OURS = [name for name in mb.models() if registry().sources[name].startswith("monai_brain_plugins.")]


RUN = (
    *("strict_json", "metadata_complete", "zoo_rules", "recipe_keys", "metadata_true_to_network"),
    *("recipes_agree", "forward", "cam_layer_exists", "variants", "weights", "monai_label"),
)
SLOW = ("loss_falls", "export_parity", "no_network_at_import", "federated_round", "phantom_run")


@parametrize_with_checks(OURS, only=[name for name in CHECKS if name not in SLOW])
def test_conformance(bundle, check):
    check(bundle)


@pytest.mark.slow
@parametrize_with_checks(OURS, only=SLOW)
def test_slow_conformance(bundle, check):
    check(bundle)


def test_ours_are_installed():
    assert "brain_tumor_resnet34" in OURS


def test_a_run_is_a_model_too(brain_phantoms, tmp_path):
    """One that was trained with other channels and another network than its bundle's."""
    from monai_brain.training.workflow import train

    overrides = {"variant": "tiny_wide", "max_epochs": 1, "in_channels": 3}
    run = train(tiny_bundle(tmp_path / "tiny"), brain_phantoms, 0, run_dir=tmp_path / "run", **overrides)
    found = {result.name: (result.state, result.reason) for result in conformance(run, RUN)}
    assert found == dict.fromkeys(RUN, ("passed", ""))
