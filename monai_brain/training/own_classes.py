"""Training on classes that are not the model's: other names for the same, or a new head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from monai_brain import recipe
from monai_brain.bundles import Bundle
from monai_brain.data import datalist as datalists
from monai_brain.data import phantoms
from monai_brain.errors import ConfigurationError

# Where the labels of a recipe stand, and the class that is added to see what depends on their number.
_LABELS, _ANOTHER = "labels", "another class"


def settings(
    bundle: Bundle,
    datalist: datalists.Source,
    rename: Mapping[str, str],
    new_head: bool,
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """The recipe's overrides for the classes of a datalist.

    Without a new head the model's classes stay, and every class of the datalist must be one of them. With
    one, the classes are the datalist's in alphabetical order, so that the order in its file means nothing.

    Raises:
        ConfigurationError: A class of the datalist is none of the model's, or the network has no head.
    """
    content = datalists.read(datalist)
    names = {item["class_name"] for item in (*content["training"], *content["testing"])}
    found: dict[str, Any] = {"rename": dict(rename)} if rename else {}
    if not new_head:
        labels = overrides.get(_LABELS)
        datalists.match(labels if isinstance(labels, list) else bundle.labels, names, rename)
        return found
    labels = sorted({rename.get(name, name) for name in names})
    found |= {_LABELS: labels, "new_head": head(bundle, {**overrides, _LABELS: labels})}
    copies = recipe.parsed(bundle, "train").get("copies")
    if isinstance(copies, dict) and "copies" not in overrides:
        found["copies"] = {name: times for name, times in copies.items() if name in labels}
    return found


def head(bundle: Bundle, overrides: Mapping[str, Any]) -> list[str]:
    """The network's tensors whose shape depends on the number of classes.

    Raises:
        ConfigurationError: There are none.
    """
    labels = list(overrides[_LABELS])
    fewer, more = (_shapes(bundle, {**overrides, _LABELS: names}) for names in (labels, [*labels, _ANOTHER]))
    found = [name for name, shape in fewer.items() if more.get(name) != shape]
    if not found:
        raise ConfigurationError(
            f"The network of {bundle.name} is the same for any number of classes: no head can be replaced. "
            "Let network_def of its train.json use @labels."
        )
    return found


def _shapes(bundle: Bundle, overrides: Mapping[str, Any]) -> dict[str, torch.Size]:
    parser = recipe.parsed(bundle, "train")
    parser.update({key: value for key, value in overrides.items() if key in parser})
    parser.update({"start_weights": "scratch"})
    with torch.random.fork_rng(devices=[]):
        network = parser.get_parsed_content("network_def")
    return {name: value.shape for name, value in network.state_dict().items()}


def described(metadata: dict[str, Any], labels: list[str]) -> None:
    """Make a bundle's metadata true to other classes than it was written for."""
    pred = metadata["network_data_format"]["outputs"]["pred"]
    before = pred.get("channel_def", {})
    pred["channel_def"] = {str(index): name for index, name in enumerate(labels)}
    pred["num_channels"] = len(labels)
    if set(before.values()) == set(labels):
        return
    metadata["label_classes"] = "the class of the image"
    metadata["pred_classes"] = f"probabilities of {', '.join(labels)}"
    facts = metadata["monai_brain"]
    facts.pop("codes", None)  # what reports call the old classes
    facts["summary"] = f"own classes: {', '.join(labels)}"
    if not {*labels} <= {*phantoms.BRAIN_CLASSES, *phantoms.MAMMOGRAM_CLASSES}:
        facts.pop("phantom", None)  # nobody can draw them
