"""EfficientNet-B2 brain-tumour classifier with cropping to the brain (DOI 10.19651/j.cnki.emt.2519530)."""

import monai_brain as mb


@mb.hookimpl
def register_bundles(register) -> None:  # type: ignore[no-untyped-def]
    register(mb.Bundle.in_package("monai_brain_bundles", "brain_tumor_efficientnet_b2_classification"))
