"""The networks that the papers compare with, and any timm model by name."""

import monai_brain as mb


@mb.hookimpl
def register_bundles(register) -> None:  # type: ignore[no-untyped-def]
    register(mb.Bundle.in_package("monai_brain_bundles", "baseline_classification"))
