"""PARB + KAN ResNet34, which tells complete mammograms from incomplete ones."""

import monai_brain as mb


@mb.hookimpl
def register_bundles(register) -> None:  # type: ignore[no-untyped-def]
    register(mb.Bundle.in_package("monai_brain_bundles", "mammography_quality_parb_kan_classification"))
