"""Every model that comes with monai_brain meets every check."""

import pytest

import monai_brain as mb
from monai_brain.registry import registry
from monai_brain.testing.checks import CHECKS
from monai_brain.testing.parametrize import parametrize_with_checks

OURS = [name for name in mb.models() if registry().sources[name].startswith("monai_brain_plugins.")]


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
