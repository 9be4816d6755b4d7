"""What a network costs: its parameters, and the operations of one image."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from monai_brain.errors import ConfigurationError


@dataclass(frozen=True)
class Cost:
    """Size and work of a network.

    Attributes:
        parameters: Learned numbers, frozen ones included; buffers such as BatchNorm's statistics are not.
        flops: Floating-point operations of one image, a multiply-add being two.
    """

    parameters: int
    flops: int


def cost(network: nn.Module, input_shape: Sequence[int]) -> Cost:
    """The parameters of a network and the operations of its convolutions and matrix products for one image.

    The image goes through the network once, in evaluation mode, on the network's device; what is counted
    is what runs. Norms, activations, pooling and additions are left out, as papers leave them out. Papers
    that count a multiply-add once state half the figure.

    Args:
        network: Any network of one image; it is left as it was.
        input_shape: Channels, height and width of the image.

    Raises:
        ConfigurationError: The shape is not of three positive numbers.
    """
    if len(input_shape) != 3 or not all(size > 0 for size in input_shape):
        raise ConfigurationError(
            f"input_shape must be channels, height and width, got {tuple(input_shape)!r}."
        )
    parameters = list(network.parameters())
    image = torch.zeros(1, *input_shape)
    if parameters:
        image = image.to(parameters[0].device, parameters[0].dtype)
    counter = FlopCounterMode(display=False)
    with _evaluated(network), _attention_as_products(), torch.no_grad(), counter:
        network(image)
    return Cost(sum(parameter.numel() for parameter in parameters), counter.get_total_flops())


@contextlib.contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def _attention_as_products() -> Iterator[None]:
    # The counter does not see into torch's fused attention.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
