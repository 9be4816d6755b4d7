"""A bundle's configs as they must be for a network that was built with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.files import read_json

Configs = dict[str, dict[str, Any]]
METADATA, INFERENCE = "metadata.json", "inference.json"


def configs(bundle: Bundle, settings: Mapping[str, Any]) -> Configs:
    """The bundle's configs by file name, with the settings of one network written into each.

    Args:
        bundle: the model.
        settings: what `monai_brain.network` was given beside the model: keys of the recipe by MONAI's
            id (`network_def#multi_scale_stem`, `image_size`) and arguments of the network (`reduction`).
            A recipe that lacks a key is left without it.
    """
    from monai.bundle import ConfigParser

    found: Configs = {}
    for path in sorted((bundle.root / "configs").glob("*.json")):
        content = read_json(path)
        if path.name == METADATA:
            _describe(content["network_data_format"]["inputs"]["image"], settings)
        else:
            parser = ConfigParser(content)
            for key, value in settings.items():
                if key in parser:
                    parser[key] = value
                elif f"network_def#{key}" in parser:
                    parser[f"network_def#{key}"] = value
            content = parser.get()
        found[path.name] = content
    return found


def _describe(image: dict[str, Any], settings: Mapping[str, Any]) -> None:
    size, channels = settings.get("image_size"), settings.get("in_channels")
    if size is not None:
        image["spatial_shape"] = [size, size]
    if channels is not None:
        image["num_channels"] = channels
        image["channel_def"] = {str(index): "image" for index in range(channels)}
