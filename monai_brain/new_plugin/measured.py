"""What the metadata of a new plugin say of its network, found by running it once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from monai_brain import recipe
from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, ModelError, MonaiBrainError
from monai_brain.inference import weights
from monai_brain.inference.cost import cost

SMALL = 64  # pixels: what the conformance checks show a network that names no other size
BATCH = 2


@dataclass(frozen=True)
class Measured:
    """Facts of a network.

    Attributes:
        parameters: How many it learns.
        flops: The operations of one image.
        cam_layer: The last layer that gives maps which the logits depend on.
        smallest_image: The side of the smallest image to check it by, or None for the usual.
    """

    parameters: int
    flops: int
    cam_layer: str
    smallest_image: int | None


def built(bundle: Bundle, image_size: int) -> nn.Module:
    """The network that the bundle names, for images of this size, with random weights from a fixed seed.

    Raises:
        ModelError: It cannot be built.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            return weights.network(bundle, image_size=image_size)
        except Exception as error:
            cause = recipe.failure(error) or error
            reason = str(cause) if isinstance(cause, MonaiBrainError) else f"{type(cause).__name__}: {cause}"
            raise ModelError(f"The network cannot be built: {' '.join(reason.split())}") from error


def measured(bundle: Bundle) -> Measured:
    """What the metadata say of the network, found by showing it images.

    Raises:
        ModelError: It cannot be built, does not take the images, or gives no logits for the classes.
        ConfigurationError: None of its layers gives maps.
    """
    channels, size, _ = bundle.input_shape
    network = built(bundle, size)
    logits = answered(network, channels, size)
    if tuple(logits.shape) != (BATCH, len(bundle.labels)):
        raise ModelError(
            f"For {BATCH} images the network gives {tuple(logits.shape)}, expected "
            f"{(BATCH, len(bundle.labels))}: one logit for each of {', '.join(bundle.labels)}."
        )
    small = min(SMALL, size)
    try:
        layer = cam_layer(built(bundle, small), channels, small)
        smallest = None
    except MonaiBrainError:  # too small for it; the size that it is made for is not
        layer = cam_layer(network, channels, size)
        smallest = size
    counted = cost(network, (channels, size, size))
    return Measured(counted.parameters, counted.flops, layer, smallest)


def answered(network: nn.Module, channels: int, size: int) -> torch.Tensor:
    """The network's answer to a batch of noise, with gradients.

    Raises:
        ModelError: It raises, or answers with something other than one tensor.
    """
    images = torch.randn(BATCH, channels, size, size, generator=torch.Generator().manual_seed(0))
    try:
        with torch.enable_grad():
            logits = network.eval()(images.requires_grad_())
    except Exception as error:
        raise ModelError(
            f"The network does not take images {channels} x {size} x {size}: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}. Say --size and --channels as it was made for."
        ) from error
    if not isinstance(logits, torch.Tensor):
        raise ModelError(
            f"The network gives {type(logits).__name__}. Let forward return the logits (B, classes) alone."
        )
    return logits


def cam_layer(network: nn.Module, channels: int, size: int) -> str:
    """The name of the last layer that gives maps (B, C, h, w) of more than one place.

    Raises:
        ConfigurationError: There is none.
    """
    maps: list[tuple[str, torch.Tensor]] = []
    handles = []
    for name, module in network.named_modules():

        def keep(module: nn.Module, given: object, output: object, name: str = name) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
                maps.append((name, output))

        if name:
            handles.append(module.register_forward_hook(keep))
    try:
        logits = answered(network, channels, size)
    finally:
        for handle in handles:
            handle.remove()
    for name, output in reversed(maps):
        (reached,) = torch.autograd.grad(logits.sum(), output, allow_unused=True, retain_graph=True)
        if reached is not None and bool(reached.isfinite().all()):
            return name
    raise ConfigurationError(
        f"For {size} px no layer of the network gives maps (B, C, h, w) that its logits depend on. A model "
        "needs one, to show where its evidence lies."
    )
