"""Weights from elsewhere, unwrapped, as the network of a new plugin takes them, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_brain.errors import IntegrityError, MissingExtraError, ModelError
from monai_brain.inference import weights
from monai_brain.inference.channels import BATCH_COUNTER

StateDict = dict[str, torch.Tensor]

# What trainers put around a state_dict, and before its names.
WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net", "module")
PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.")


def convert(path: Path, network: nn.Module) -> None:
    """Fill the network with the weights in a file.

    Raises:
        IntegrityError: The file holds something other than tensors, or is damaged.
        ModelError: The weights are not all of this network.
    """
    own = network.state_dict()
    state = _renamed(_unwrapped(_content(path), path), own)
    _refuse_misfits(state, own, path)
    wild = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if wild:
        raise ModelError(f"{path}: {wild[0]!r} holds values that are not finite. Give weights that are.")
    network.load_state_dict({**own, **state})


def _content(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"There is no file {path}. Give --weights the path of a file of weights.")
    if path.suffix != ".safetensors":
        return weights.content(path)
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtraError("safetensors", "baselines") from error
    try:
        return load_file(path)
    except Exception as error:  # noqa: BLE001  its errors share no parent
        raise IntegrityError(f"{path} cannot be read as weights: {error}. Is the file whole?") from None


def _unwrapped(content: Any, path: Path) -> StateDict:
    """The state_dict inside."""
    while isinstance(content, Mapping):
        inside = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inside is None:
            break
        content = content[inside]
    tensors = isinstance(content, Mapping) and all(isinstance(one, torch.Tensor) for one in content.values())
    if not content or not tensors:
        raise ModelError(
            f"{path} holds no state_dict: a mapping of names to tensors was expected, at its top or under "
            f"one of {', '.join(WRAPPERS)}."
        )
    return {str(name): value for name, value in content.items()}


def _renamed(state: StateDict, own: Mapping[str, torch.Tensor]) -> StateDict:
    """The weights without the names of what was wrapped around the network."""
    while not own.keys() & state.keys():
        prefix = next((one for one in PREFIXES if all(name.startswith(one) for name in state)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _refuse_misfits(state: StateDict, own: Mapping[str, torch.Tensor], path: Path) -> None:
    # Old files lack the counters of BatchNorm, which no answer depends on.
    missing = sorted(name for name in own.keys() - state.keys() if not name.endswith(BATCH_COUNTER))
    left = sorted(state.keys() - own.keys())
    if missing or left:
        found = [
            f"{len(names)} tensors {what} (first {names[0]!r})"
            for what, names in (("missing", missing), ("left over", left))
            if names
        ]
        raise ModelError(f"{path} is not of this network: {', '.join(found)}. Name the network they are of.")
    wrong = [name for name in state if state[name].shape != own[name].shape]
    if wrong:
        name, given, wanted = wrong[0], tuple(state[wrong[0]].shape), tuple(own[wrong[0]].shape)
        raise ModelError(
            f"{path} does not fit: {name!r} has shape {given}, the network takes {wanted}"
            f"{f' ({len(wrong)} such tensors)' if len(wrong) > 1 else ''}. {_remedy(given, wanted)}"
        )


def _remedy(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(given) == len(wanted) > 2 and given[0] == wanted[0] and given[2:] == wanted[2:]:
        return f"Say --channels {given[1]}."
    if len(given) == len(wanted) <= 2 and given[1:] == wanted[1:]:
        return f"Name {given[0]} classes by --classes, in the order of the network's outputs."
    return "Name the network as it was trained."
