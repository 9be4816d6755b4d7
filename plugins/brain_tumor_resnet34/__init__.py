"""Improved ResNet34 brain-tumour classifier (arXiv 2512.03751)."""

import monai_brain as mb


@mb.hookimpl
def register_bundles(register) -> None:  # type: ignore[no-untyped-def]
    register(mb.Bundle.in_package("monai_brain_bundles", "brain_tumor_resnet34_classification"))
