"""dipstick meets every check that monai_brain asks of a model."""

from monai_brain.testing.parametrize import parametrize_with_checks


@parametrize_with_checks(["dipstick"])
def test_conformance(bundle, check):
    check(bundle)
