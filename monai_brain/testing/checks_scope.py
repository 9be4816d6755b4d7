"""What monai_brain is for: one class of several for each 2D image. Everything else is told so in one line."""

from __future__ import annotations

from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.errors import MonaiBrainError
from monai_brain.testing import subject
from monai_brain.testing.outcome import CheckFailed

SCOPE = "monai_brain is for networks that give each 2D image one class of several"
# Ends of the names of losses, as torch and MONAI have them.
_MULTI_LABEL = ("BCELoss", "BCEWithLogitsLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss")
_REGRESSION = ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "PoissonNLLLoss", "GaussianNLLLoss")
_ACTIVATIONS = ("Activations", "Activationsd", "ActivationsD", "ActivationsDict")


def check_scope(bundle: Bundle) -> None:
    """It gives each 2D image one class of several: no volumes, no several labels, no numbers."""
    reason = beyond(bundle)
    if reason:
        raise CheckFailed(f"Out of scope: {SCOPE}; this one is {reason}")


def beyond(bundle: Bundle) -> str:
    """What the model is instead and where that is said, or "" where nothing speaks against it."""
    formats = bundle.metadata.get("network_data_format") or {}
    image, pred = _format(formats, "inputs", "image"), _format(formats, "outputs", "pred")
    shape = image.get("spatial_shape")
    if isinstance(shape, list) and len(shape) > 2:
        return f"for {len(shape)}D: inputs#image#spatial_shape is {shape}."
    found = dict(_settings(bundle))
    for where, value in found.items():
        name = where.rpartition("#")[2]
        if name == "spatial_dims" and value == 3 and "network" in where:
            return f"for 3D: {where} is 3."
    for where, value in found.items():
        last = str(value).rpartition(".")[2]
        if not where.endswith("_target_"):
            continue
        above = where.removesuffix("_target_")
        if last in _MULTI_LABEL:
            return f"multi-label: {where} is {value}."
        if last in _REGRESSION and "loss" in where:
            return f"a regression: {where} is {value}."
        if last in _ACTIVATIONS and found.get(f"{above}sigmoid") is True:
            return f"multi-label: {above}sigmoid gives each class a probability of its own."
    if pred.get("format") == "segmentation":
        return "a segmentation: outputs#pred#format says so."
    if pred and pred.get("num_channels") == 1:
        return "a regression, or has one output for two classes: outputs#pred#num_channels is 1."
    return ""


def _format(formats: Any, side: str, key: str) -> dict[str, Any]:
    inside = formats.get(side) if isinstance(formats, dict) else None
    found = inside.get(key) if isinstance(inside, dict) else None
    return found if isinstance(found, dict) else {}


def _settings(bundle: Bundle) -> list[tuple[str, Any]]:
    """Every id of the recipes that train and infer, with its value."""
    found = []
    try:
        for file, content in subject.recipes(bundle):
            found += [(f"{file}: {name}", value) for name, value in subject.walk(content)]
    except MonaiBrainError:  # one that cannot be read is another check's
        return found
    return found
