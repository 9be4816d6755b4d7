"""EfficientNet weights from ImageNet or from a file, loaded whole or not at all."""

from __future__ import annotations

import http.client
import os
import re
import sys
from pathlib import Path

import torch
from monai.networks.nets.efficientnet import url_map
from torch import nn

from monai_brain.errors import IntegrityError, ModelError

HEAD = ("_fc.weight", "_fc.bias")
STEM = "_conv_stem.weight"


def load_weights(network: nn.Module, variant: str, weights: str | os.PathLike[str]) -> None:
    """Copy the weights called "imagenet", or those in a file, into an EfficientNet.

    The file may carry MONAI's names or those of the publication's PyTorch port, which number the blocks
    without their stage. A head for another number of classes stays as it is in the network.

    Raises:
        ModelError: The weights cannot be had, or are not those of this variant.
        IntegrityError: The file is no state dict that can be loaded safely.
    """
    path = _imagenet(variant) if weights == "imagenet" else Path(weights)
    given = _read(path)
    own = network.state_dict()
    chosen: dict[str, torch.Tensor] = {}
    for name, value in own.items():
        found = given.get(name, given.get(_without_stage(name)))
        if found is not None and name == STEM and value.shape[1] == 1 and found.ndim == 4:
            found = found.sum(dim=1, keepdim=True)
        if found is not None and found.shape == value.shape:
            chosen[name] = found
        elif name not in HEAD and not name.endswith("num_batches_tracked"):
            reason = "is missing" if found is None else f"has shape {tuple(found.shape)}"
            raise ModelError(
                f"{path} does not fit EfficientNet-{variant.upper()}: {name} {reason}, "
                f"expected {tuple(value.shape)}. Name the variant that the file was made for."
            )
    if sum(name in chosen for name in HEAD) == 1:
        raise ModelError(f"{path}: the head's weight and bias are for different numbers of classes.")
    network.load_state_dict({**own, **chosen})


def _without_stage(name: str) -> str:
    return re.sub(r"^_blocks\.\d+\.", "_blocks.", name)


def _imagenet(variant: str) -> Path:
    """The file with the ImageNet weights, fetched into torch's cache unless it is there."""
    url = url_map[f"efficientnet-{variant}"]
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=sys.stderr.isatty())
        except (OSError, http.client.HTTPException) as error:
            raise ModelError(
                f"The ImageNet weights of EfficientNet-{variant.upper()} cannot be fetched ({error}). "
                f"Download {url} on a machine with network access and put it at {path}, "
                f"or give the file's path as weights, or weights=None to train from scratch."
            ) from error
    return path


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ModelError(f"There is no weights file {path}. Give the path of a state dict, or 'imagenet'.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise IntegrityError(
            f"{path} cannot be loaded as weights ({type(error).__name__}). Fetch or export it again."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{path} holds no flat state dict of tensors. Export the weights alone.")
    return state
