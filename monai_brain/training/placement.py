"""How a network and its optimiser are laid out on a device, so that it is fast there."""

from __future__ import annotations

import logging
from typing import Any

import torch

from monai_brain import recipe
from monai_brain.errors import ConfigurationError

_LOG = logging.getLogger(__name__)


def placed(
    network: torch.nn.Module,
    device: str | torch.device,
    channels_last: bool | str = "auto",
    compile: bool | str = False,  # noqa: A002  as the recipes' key
) -> torch.nn.Module:
    """The same network on its device; the keys of its state_dict stay as they are.

    Args:
        network: Which is changed in place.
        device: Where it goes.
        channels_last: Whether kernels lie channels last in memory; "auto" on a GPU, whose half
            precision units want it.
        compile: Whether torch.compile makes its forward pass, at the first batch; or the mode:
            "reduce-overhead" records CUDA graphs.

    Raises:
        ConfigurationError: A setting is none of these.
    """
    place = torch.device(device)
    if channels_last not in ("auto", True, False):
        raise ConfigurationError(f"channels_last is {channels_last!r}, but takes auto, true or false.")
    if compile not in recipe.CHOICES["compile"]:
        modes = ", ".join(mode for mode in recipe.CHOICES["compile"] if isinstance(mode, str))
        raise ConfigurationError(f"compile is {compile!r}, but takes true, false or a mode: {modes}.")
    network = network.to(place)
    last = place.type == "cuda" if channels_last == "auto" else bool(channels_last)
    if last:
        network = network.to(memory_format=torch.channels_last)
    if compile:
        # In place: a wrapper would put _orig_mod. before every key.
        network.compile(mode="default" if compile is True else compile)
    words = [*(["channels last"] if last else []), *([f"compiled ({compile})"] if compile else [])]
    if words:
        _LOG.info("network on %s, %s", place, ", ".join(words))
    return network


def fused(device: str | torch.device) -> bool | None:
    """What an optimiser of torch takes as `fused`: True on a GPU, elsewhere its own choice."""
    return True if torch.device(device).type == "cuda" else None


def scaled(amp: Any) -> bool:
    """Whether the trainer scales the loss: half precision alone needs that."""
    return bool(amp == "fp16")
