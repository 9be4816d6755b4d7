"""Weights of a three-channel network for grey images, and back, without a change of function."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from monai_brain.errors import ModelError

GREY, COLOUR = 1, 3
BATCH_COUNTER = "num_batches_tracked"


def adapt_input_channels(
    state_dict: Mapping[str, torch.Tensor], network: nn.Module
) -> dict[str, torch.Tensor]:
    """The weights as `network` takes them, its input convolutions summed or spread over channels.

    From three channels to one, the kernels of the convolutions that read the image are summed; from
    one to three, each channel gets a third. Both give the output that the other network gives for the
    grey image copied to three channels. An input scaled differently in each channel, as ImageNet's
    colours are, is not such a copy: scale all channels alike.

    Which convolutions read the image is seen from the network's own shapes, so there may be several.
    Weights that fit already come back as they are; the given mapping is not altered.

    Raises:
        ModelError: A weight is missing, unknown, or differs by more than the input channels.
    """
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    # Old files lack the counters of BatchNorm; torch then keeps the network's own, and so do we.
    missing = {name for name in wanted.keys() - state_dict.keys() if not name.endswith(BATCH_COUNTER)}
    for what, names in (("lack", missing), ("add", state_dict.keys() - wanted.keys())):
        if names:
            first = min(names)
            raise ModelError(
                f"The weights are not of this network: they {what} {first!r}{_and_more(len(names))}. "
                f"Give weights of {type(network).__name__} built with the same arguments."
            )
    adapted, misfits, directions = {}, [], set()
    for name, value in state_dict.items():
        if value.shape == wanted[name]:
            adapted[name] = value
        elif _differ_in_input_channels(value.shape, wanted[name]):
            adapted[name] = _adapt(value)
            directions.add(value.shape[1])
        else:
            misfits.append(name)
    if len(directions) > 1:
        misfits = [name for name in adapted if state_dict[name].shape != wanted[name]]
    if misfits:
        name = misfits[0]
        raise ModelError(
            f"The weights do not fit: {name!r} has shape {_written(state_dict[name].shape)}, "
            f"{type(network).__name__} takes {_written(wanted[name])}{_and_more(len(misfits))}. "
            "Build the network as it was trained (classes, channels, parts)."
        )
    return adapted


def _differ_in_input_channels(given: torch.Size, wanted: torch.Size) -> bool:
    return (
        len(given) == len(wanted) > 2
        and (given[0], *given[2:]) == (wanted[0], *wanted[2:])
        and {given[1], wanted[1]} == {GREY, COLOUR}
    )


def _adapt(kernel: torch.Tensor) -> torch.Tensor:
    # In double precision, so that there and back again is the same to the last bit but one.
    if kernel.shape[1] == COLOUR:
        return kernel.sum(dim=1, keepdim=True, dtype=torch.float64).to(kernel.dtype)
    spread = (kernel.double() / COLOUR).to(kernel.dtype)
    return torch.cat([spread] * COLOUR, dim=1)


def _written(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _and_more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""
