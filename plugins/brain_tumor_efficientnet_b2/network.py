"""EfficientNet for brain tumours (Guo, Lyu, Wang, Zhao; DOI 10.19651/j.cnki.emt.2519530), section 1.2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from monai.networks.nets import EfficientNetBN
from torch import nn

from monai_brain.errors import ConfigurationError, UnknownNameError

from .weights import load_weights

VARIANTS = ("b0", "b1", "b2", "b3", "b4")
BLOCKS = 7


class BrainEfficientNet(EfficientNetBN):
    """MONAI's EfficientNet with its head for the tumours, its first blocks frozen where wanted.

    Names of parameters are MONAI's, and so is the function, with two changes that alter no result:
    torch's SiLU stands for MONAI's Swish, which cannot be exported, and padding that is equal on both
    sides is done by the convolution itself.

    Grad-CAM reads `_conv_head`, the last convolution (8 x 8 for 240 pixels).

    Args:
        variant: "b0" to "b4".
        num_classes: Number of logits.
        in_channels: 3 as published, or 1 for grey.
        dropout: Rate before the linear head; the variant's own by default (0.3 for B2).
        frozen_blocks: How many of the paper's seven blocks keep their weights and their BatchNorm
            statistics, counted from the input. The stem before them is frozen with the first.
        weights: "imagenet", the path of a state dict, or None for random ones. A head of another
            number of classes is left out, and three input channels are added up for one.
        image_size: Pixels of a side for which strided convolutions are padded as TensorFlow pads, which
            the published weights expect. By default MONAI's fixed choice for the variant (260 for B2).
        norm_momentum: Share of a batch in the running statistics, as torch counts it. 0.01 as published
            wants thousands of steps: take 0.1 for a training of a few hundred.
    """

    def __init__(
        self,
        variant: str = "b2",
        num_classes: int = 3,
        in_channels: int = 3,
        dropout: float | None = None,
        frozen_blocks: int = 0,
        weights: str | os.PathLike[str] | None = None,
        image_size: int | None = None,
        norm_momentum: float = 0.01,
    ) -> None:
        if variant not in VARIANTS:
            raise UnknownNameError("EfficientNet variant", variant, VARIANTS)
        if not 0 <= frozen_blocks <= BLOCKS:
            raise ConfigurationError(f"frozen_blocks must be 0 to {BLOCKS}, got {frozen_blocks}.")
        super().__init__(
            f"efficientnet-{variant}", pretrained=False, in_channels=in_channels, num_classes=num_classes
        )
        # MONAI draws the head from 1 / sqrt(num_classes), made for 1000 of them: with three, the first logits
        # are in the tens and training from scratch stalls. Glorot's draw is that of a Keras dense layer.
        nn.init.xavier_uniform_(self._fc.weight)
        nn.init.zeros_(self._fc.bias)
        if dropout is not None:
            self._dropout = nn.Dropout(dropout)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = norm_momentum
        self.frozen_blocks = frozen_blocks
        self._export_swish()
        self._place_padding(image_size)
        if weights is not None:
            load_weights(self, variant, weights)
        for part in self._frozen():
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> BrainEfficientNet:
        """The network in training or evaluation mode; what is frozen is always in evaluation mode."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        if not self.frozen_blocks:
            return []
        return [self._conv_stem, self._bn0, *list(self._blocks)[: self.frozen_blocks]]

    def _export_swish(self) -> None:
        for part in list(self.modules()):
            if hasattr(part, "_swish"):
                part._swish = nn.SiLU()

    def _place_padding(self, image_size: int | None) -> None:
        size = image_size
        for owner, name in self._padded():
            convolution = getattr(owner, name)
            padder = getattr(owner, f"{name}_padding")
            pads = tuple(getattr(padder, "padding", (0, 0, 0, 0)))
            if size is not None:
                kernel, stride = convolution.kernel_size[0], convolution.stride[0]
                out = -(-size // stride)
                total = max((out - 1) * stride + kernel - size, 0)
                pads = (total // 2, total - total // 2) * 2
                size = out
            if len(set(pads)) == 1:
                convolution.padding = (pads[0], pads[0])
                padder = nn.Identity()
            else:
                padder = nn.ConstantPad2d(pads, 0.0)
            setattr(owner, f"{name}_padding", padder)

    def _padded(self) -> Iterator[tuple[Any, str]]:
        """The convolutions wider than one pixel, from the input on: the module that holds each, its name."""
        yield self, "_conv_stem"
        for stage in self._blocks:
            for block in stage:
                yield block, "_depthwise_conv"
