"""Networks to compare with, as torchvision and timm publish them, under short names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from monai_brain.errors import ConfigurationError, MissingExtraError, UnknownNameError, did_you_mean

from .pretrained import load_timm_file, load_timm_published, load_torchvision

TIMM_PREFIX = "timm:"
EXTRA = "baselines"


@dataclass(frozen=True)
class Published:
    """Where a torchvision network has what differs from one to the next.

    Args:
        builder: Its name in torchvision.models.
        input_layer: The convolution that reads the image.
        head: The last linear layer.
        cam_layer: The layer whose maps Grad-CAM reads.
        arguments: Further arguments of the builder.
        own_dropout: Whether the builder has a dropout of its own before the head.
    """

    builder: str
    input_layer: str
    head: str
    cam_layer: str
    arguments: dict[str, Any] = field(default_factory=dict)
    own_dropout: bool = False


# Grad-CAM layers are the last maps that nothing alters in place: DenseNet's last norm and VGG's last
# convolution are followed by an in-place ReLU, so the block and the ReLU itself stand here.
TORCHVISION = {
    "convnext_tiny": Published("convnext_tiny", "features.0.0", "classifier.2", "features.7"),
    "densenet121": Published("densenet121", "features.conv0", "classifier", "features.denseblock4"),
    "efficientnetv2_s": Published(
        "efficientnet_v2_s", "features.0.0", "classifier.1", "features.7", own_dropout=True
    ),
    "googlenet": Published(
        "googlenet", "conv1.conv", "fc", "inception5b", {"aux_logits": False, "init_weights": True}, True
    ),
    "resnet34": Published("resnet34", "conv1", "fc", "layer4"),
    "resnet50": Published("resnet50", "conv1", "fc", "layer4"),
    "resnext101": Published("resnext101_32x8d", "conv1", "fc", "layer4"),
    "vgg16": Published("vgg16", "features.0", "classifier.6", "features.29", own_dropout=True),
    "vit_b_16": Published("vit_b_16", "conv_proj", "heads.head", "encoder.layers.encoder_layer_11.ln_1"),
}

# Keras's ResNet152V2: pre-activation, BatchNorm, usual width. timm's other 152s are Google's BiT, with
# GroupNorm, standardised weights and double width. Two differences are left, neither of them of size:
# Keras has biases on some convolutions, and strides in the last block of a stage instead of the first.
TIMM = {"resnet152v2": "resnetv2_152"}
TIMM_CAM_LAYERS = {"resnetv2_152": "norm"}

ARCHITECTURES = tuple(sorted([*TORCHVISION, *TIMM]))


class DroppedLinear(nn.Linear):
    """A linear layer with dropout before it, which keeps the names of its weights."""

    def __init__(self, like: nn.Linear, dropout: float) -> None:
        super().__init__(like.in_features, like.out_features, like.bias is not None)
        self.dropout = dropout
        self.load_state_dict(like.state_dict())

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - nn.Linear's name for it
        """Logits of features (B, in_features)."""
        dropped = functional.dropout(input, self.dropout, self.training)
        return functional.linear(dropped, self.weight, self.bias)


def baseline_classifier(
    architecture: str = "resnet34",
    num_classes: int = 4,
    in_channels: int = 3,
    image_size: int = 224,
    dropout: float | None = None,
    pretrained: bool | str | Path = False,
) -> nn.Module:
    """The named network itself, with torchvision's or timm's own names of parameters.

    Args:
        architecture: One of ARCHITECTURES, or "timm:NAME" for any network of timm.
        num_classes: Outputs of the head (logits).
        in_channels: Channels of the image; ImageNet weights fit 3, and 1 by summing the kernels.
        image_size: Side of the image in pixels, for networks with position embeddings (ViT).
        dropout: Probability before the head; None leaves the published one.
        pretrained: True starts from ImageNet weights (fetched once, then read from the cache of
            torch.hub or Hugging Face); a path starts from that file. A head for another number of
            classes starts anew; anything else that does not fit is an error.

    Raises:
        UnknownNameError: No network has that name.
        ConfigurationError: The image size or the dropout cannot be.
        ModelError: The ImageNet weights cannot be had, or a file does not fit.
        MissingExtraError: torchvision or timm is not installed.
    """
    if dropout is not None and not 0 <= dropout < 1:
        raise ConfigurationError(f"dropout is {dropout}; give a probability from 0 to below 1.")
    if architecture in TORCHVISION:
        return _from_torchvision(
            TORCHVISION[architecture], num_classes, in_channels, image_size, dropout, pretrained
        )
    name = _timm_name(architecture)
    return _from_timm(name, num_classes, in_channels, image_size, dropout, pretrained)


def cam_layer(architecture: str) -> str:
    """The name of the layer whose maps Grad-CAM reads.

    A ViT's layer gives tokens (B, 1 + h * w, C) instead of maps, the class token first.

    Raises:
        UnknownNameError: No network has that name.
        ConfigurationError: timm does not say where the network's last maps are.
    """
    if architecture in TORCHVISION:
        return TORCHVISION[architecture].cam_layer
    name = _timm_name(architecture)
    if name in TIMM_CAM_LAYERS:
        return TIMM_CAM_LAYERS[name]
    with torch.device("meta"):
        network = _timm().create_model(name)
    features = getattr(network, "feature_info", None)
    if not features:
        raise ConfigurationError(f"timm names no feature maps in {name!r}; name the Grad-CAM layer yourself.")
    last = str(features[-1]["module"])
    # A transformer's last block hands on its class token alone; what its first norm reads is still all.
    return f"{last}.norm1" if last.startswith("blocks.") and hasattr(network, "pos_embed") else last


def _from_torchvision(
    published: Published,
    num_classes: int,
    in_channels: int,
    image_size: int,
    dropout: float | None,
    pretrained: bool | str | Path,
) -> nn.Module:
    try:
        import torchvision
    except ImportError as error:
        raise MissingExtraError("torchvision", EXTRA) from error
    arguments = dict(published.arguments)
    if dropout is not None and published.own_dropout:
        arguments["dropout"] = dropout
    if published.builder == "vit_b_16":
        if image_size % 16:
            raise ConfigurationError(f"vit_b_16 reads patches of 16 pixels; {image_size} is not a multiple.")
        arguments["image_size"] = image_size
    network: nn.Module = torchvision.models.get_model(published.builder, num_classes=num_classes, **arguments)
    first = network.get_submodule(published.input_layer)
    if isinstance(first, nn.Conv2d) and first.in_channels != in_channels:
        network.set_submodule(published.input_layer, _with_channels(first, in_channels))
    head = network.get_submodule(published.head)
    if dropout is not None and not published.own_dropout and isinstance(head, nn.Linear):
        network.set_submodule(published.head, DroppedLinear(head, dropout))
    if pretrained:
        load_torchvision(network, published.builder, published.head, pretrained)
    return network


def _with_channels(convolution: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    new = nn.Conv2d(
        in_channels,
        convolution.out_channels,
        (convolution.kernel_size[0], convolution.kernel_size[1]),
        (convolution.stride[0], convolution.stride[1]),
        convolution.padding,  # type: ignore[arg-type]  # typed for any number of dimensions
        bias=convolution.bias is not None,
    )
    # Spread as the published layer is: most of these are scaled by what goes out, not by what comes in.
    nn.init.normal_(new.weight).data.mul_(convolution.weight.detach().std())
    if new.bias is not None and convolution.bias is not None:
        new.bias.data.copy_(convolution.bias.data)
    return new


def _from_timm(
    name: str,
    num_classes: int,
    in_channels: int,
    image_size: int,
    dropout: float | None,
    pretrained: bool | str | Path,
) -> nn.Module:
    timm = _timm()
    arguments: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels, "drop_rate": dropout}
    published = timm.get_pretrained_cfg(name)
    if published is not None and published.fixed_input_size:
        arguments["img_size"] = image_size
    if pretrained is True:
        return load_timm_published(name, arguments)
    network: nn.Module = timm.create_model(name, **arguments)
    if pretrained:
        load_timm_file(network, name, Path(pretrained))
    return network


def _timm_name(architecture: str) -> str:
    """The name in timm that `architecture` stands for, checked."""
    if architecture in TIMM:
        return TIMM[architecture]
    if not architecture.startswith(TIMM_PREFIX):
        known = [*ARCHITECTURES, f"{TIMM_PREFIX}NAME"]
        raise UnknownNameError("architecture", architecture, known)
    name = architecture.removeprefix(TIMM_PREFIX)
    network, _, tag = name.partition(".")
    timm = _timm()
    if not timm.is_model(network):
        raise UnknownNameError("timm network", network, timm.list_models())
    tags = [published.partition(".")[2] for published in timm.list_pretrained(network)]
    if tag and tag not in tags:
        raise ConfigurationError(f"timm has no weights {tag!r} for {network}. {did_you_mean(tag, tags)}")
    return name


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("timm", EXTRA) from error
    return timm
