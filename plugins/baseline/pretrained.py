"""Published ImageNet weights for the baselines, from a cache, the network or a file; never by halves."""

from __future__ import annotations

import pickle
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from monai_brain.errors import IntegrityError, ModelError
from monai_brain.files import sha256
from monai_brain.inference.channels import adapt_input_channels

Weights = dict[str, torch.Tensor]

# torchvision's GoogLeNet was trained on -1..1; these take ImageNet-standardised channels there.
GOOGLENET_SCALE = (0.229 / 0.5, 0.224 / 0.5, 0.225 / 0.5)
GOOGLENET_SHIFT = ((0.485 - 0.5) / 0.5, (0.456 - 0.5) / 0.5, (0.406 - 0.5) / 0.5)


def load_torchvision(network: nn.Module, builder: str, head: str, source: bool | str | Path) -> None:
    """Fill the network with torchvision's ImageNet weights (True) or those of a file (a path).

    Raises:
        ModelError: The weights cannot be had, or do not fit.
    """
    weights = _read(_fetched(builder) if source is True else Path(str(source)))
    if builder == "densenet121":
        weights = _with_present_names(weights)
    elif builder == "googlenet":
        weights = _without_auxiliaries(weights)
    elif builder == "vit_b_16":
        weights = _for_image_size(weights, network)
    _load(network, weights, [head])


def load_timm_published(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A timm network with its published weights, fetched or from the cache of Hugging Face.

    Raises:
        ModelError: There are none, or they cannot be had.
    """
    import timm

    published = timm.get_pretrained_cfg(name)
    if published is None or not published.has_weights:
        raise ModelError(
            f"timm publishes no ImageNet weights for {name}. Start from scratch, or pass pretrained=FILE."
        )
    try:
        network: nn.Module = timm.create_model(name, pretrained=True, **arguments)
    except Exception as error:  # the hub's clients raise errors of many libraries
        where = published.hf_hub_id or published.url
        raise ModelError(
            f"The ImageNet weights of {name} cannot be had from {where} ({_reason(error)}). Fetch "
            "model.safetensors from there on a connected machine and pass pretrained=FILE."
        ) from error
    return network


def load_timm_file(network: nn.Module, name: str, path: Path) -> None:
    """Fill a timm network with the weights of a file.

    Raises:
        ModelError: The file cannot be read, or does not fit.
    """
    weights = _read(path)
    # Each family of timm's renames old keys and resizes position embeddings in a function of this name.
    tidy = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if tidy is not None:
        try:
            weights = dict(tidy(weights, network))
        except Exception as error:  # the function trusts that the file is of its family
            raise ModelError(f"{path} does not hold weights of {name} ({_reason(error)}).") from error
    heads = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    _load(network, weights, [heads] if isinstance(heads, str) else list(heads))


def _load(network: nn.Module, weights: Weights, heads: list[str]) -> None:
    """Load all weights, the heads only where they have the wanted number of classes."""
    own = network.state_dict()
    for name in [f"{head}.{part}" for head in heads for part in ("weight", "bias")]:
        if name in own and name in weights and weights[name].shape[1:] == own[name].shape[1:]:
            weights[name] = weights[name] if weights[name].shape == own[name].shape else own[name]
    network.load_state_dict(adapt_input_channels(weights, network))


def _fetched(builder: str) -> Path:
    """The file of torchvision's ImageNet weights in the cache of torch.hub, fetched if it is not there."""
    import torchvision

    url = torchvision.models.get_model_weights(builder).DEFAULT.url
    name = Path(urlparse(url).path).name
    target = Path(torch.hub.get_dir()) / "checkpoints" / name
    digest = re.search(r"-([0-9a-f]{8,})\.", name)
    prefix = digest.group(1) if digest else ""
    if not target.exists():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(target), prefix, progress=False)
        except (OSError, RuntimeError) as error:
            raise ModelError(
                f"The ImageNet weights {name} cannot be fetched ({_reason(error)}). Fetch {url} on a "
                f"connected machine and put it into {target.parent}, or pass pretrained=FILE."
            ) from error
    if not sha256(target).startswith(prefix):
        raise IntegrityError(
            f"{target} is not the file its name says (SHA-256 differs). Delete it and fetch {url}."
        )
    return target


def _read(path: Path) -> Weights:
    if not path.is_file():
        raise ModelError(f"There is no file {path}. Give pretrained the path of a file of weights.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{path} cannot be loaded safely ({_reason(error)}). Fetch it again.") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise ModelError(f"{path} holds no state_dict: a mapping of names to tensors was expected.")
    return dict(content)


def _with_present_names(weights: Weights) -> Weights:
    """DenseNet's published file says norm.1 where the network now says norm1."""
    pattern = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
    return {pattern.sub(r"\1\2", name): value for name, value in weights.items()}


def _without_auxiliaries(weights: Weights) -> Weights:
    """GoogLeNet's published weights without its auxiliary heads, for ImageNet-standardised input.

    torchvision then switches a change of the input's scale on; here it goes into the first convolution
    and the mean of its norm, so that a network is the same function whatever it started from. Only
    the outermost three pixels, where the convolution pads with zeros, differ.
    """
    if not any(name.startswith("aux1.") for name in weights):
        return weights
    kept = {name: value for name, value in weights.items() if not name.startswith(("aux1.", "aux2."))}
    kernel = kept["conv1.conv.weight"].double()
    scale, shift = (torch.tensor(c, dtype=torch.float64) for c in (GOOGLENET_SCALE, GOOGLENET_SHIFT))
    offset = (kernel.sum(dim=(2, 3)) * shift).sum(dim=1)
    kept["conv1.conv.weight"] = (kernel * scale[:, None, None]).to(weights["conv1.conv.weight"])
    mean = kept["conv1.bn.running_mean"]
    kept["conv1.bn.running_mean"] = (mean.double() - offset).to(mean)
    return kept


def _for_image_size(weights: Weights, network: nn.Module) -> Weights:
    from torchvision.models.vision_transformer import interpolate_embeddings

    image_size, patch_size = int(network.image_size), int(network.patch_size)  # type: ignore[arg-type]
    try:
        return dict(interpolate_embeddings(image_size, patch_size, dict(weights)))
    except (KeyError, ValueError) as error:
        raise ModelError(f"The file does not hold weights of vit_b_16 ({_reason(error)}).") from error


def _reason(error: Exception) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0][:200]}" if first else type(error).__name__
