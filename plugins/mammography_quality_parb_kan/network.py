"""ResNet34 with parallel attention and a KAN head, for the completeness of mammograms.

Wang, Cai: An improved ResNet34 model for mammographic image recognition method. Automation &
Information Engineering 46(3), 2025.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets import ResNet
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from monai_brain.errors import ConfigurationError, UnknownNameError

from .parb import ParallelAttention

STAGE_CHANNELS = (64, 128, 256, 512)
STAGE_BLOCKS = (3, 4, 6, 3)
KAN_FORMS = ("bilinear", "plain")


class ParbKanResNet34(ResNet):
    """ResNet34 with PARB after each of its four stages and a KAN in place of its linear head.

    With both off it is torchvision's resnet34, names of parameters included, so that ImageNet weights
    load by a plain load_state_dict.

    Grad-CAM reads `parb4` (7 x 7 for 224 pixels), or `layer4` where PARB is off.

    Args:
        num_classes: Number of logits.
        in_channels: 3 as published, or 1 for grey.
        parb: Attention after each stage (section 1.3).
        kan: The KAN head (section 1.4); needs pykan.
        kan_form: "bilinear", with learned products of the first layer's outputs, or "plain".
        parb_conv: Width of the convolution before squeeze-and-excitation, 3 or 1.
        reduction: Squeeze ratio.
        kan_hidden: Outputs of the spline layer of the bilinear form.
        kan_interactions: Number of bilinear forms.
        kan_rank: Rank of each bilinear form.
        kan_grid_range: Ends of the spline grid before any grid update.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 3,
        parb: bool = True,
        kan: bool = True,
        kan_form: str = "bilinear",
        parb_conv: int = 3,
        reduction: int = 16,
        kan_hidden: int = 64,
        kan_interactions: int = 32,
        kan_rank: int = 4,
        kan_grid_range: Sequence[float] = (-1.0, 1.0),
    ) -> None:
        if kan_form not in KAN_FORMS:
            raise UnknownNameError("KAN form", kan_form, KAN_FORMS)
        if parb_conv not in (1, 3):
            raise ConfigurationError(f"parb_conv must be 3 or 1, got {parb_conv!r}.")
        super().__init__(
            block="basic",
            layers=list(STAGE_BLOCKS),
            block_inplanes=list(STAGE_CHANNELS),
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            num_classes=num_classes,
            bias_downsample=False,
        )
        for index, channels in enumerate(STAGE_CHANNELS, start=1):
            attention = ParallelAttention(channels, parb_conv, reduction) if parb else nn.Identity()
            self.add_module(f"parb{index}", attention)
        if kan:
            # Here, so that a network without a KAN needs no pykan.
            from .kan_head import KanHead

            self.fc = KanHead(
                STAGE_CHANNELS[-1],
                num_classes,
                kan_form,
                kan_hidden,
                kan_interactions,
                kan_rank,
                kan_grid_range,
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits (B, num_classes) of images (B, in_channels, H, W)."""
        return self.fc(self.features(x))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The pooled features (B, 512) on which the head works."""
        x = self.maxpool(self.act(self.bn1(self.conv1(x))))
        x = self.parb1(self.layer1(x))
        x = self.parb2(self.layer2(x))
        x = self.parb3(self.layer3(x))
        x = self.parb4(self.layer4(x))
        return torch.flatten(self.avgpool(x), 1)

    @torch.no_grad()
    def update_grid(self, images: torch.Tensor) -> None:
        """Fit the KAN's spline grid to the features of these images, by pykan's rule."""
        spline = getattr(self.fc, "spline", None)
        if spline is None:
            raise ConfigurationError(
                "This network has no KAN head, so no grid to update. Build it with kan=True."
            )
        spline.update_grid_from_samples(self.features(images).to(spline.grid.dtype))

    def fuse(self) -> ParbKanResNet34:
        """A copy for inference with BatchNorm folded and the KAN's coefficients multiplied out."""
        fused = copy.deepcopy(self).eval()
        _fold(fused, "conv1", "bn1")
        for stage in (fused.layer1, fused.layer2, fused.layer3, fused.layer4):
            for block in stage:
                _fold(block, "conv1", "bn1")
                _fold(block, "conv2", "bn2")
                if block.downsample is not None:
                    _fold(block.downsample, "0", "1")
        for name in ("parb1", "parb2", "parb3", "parb4"):
            block = getattr(fused, name)
            if isinstance(block, ParallelAttention):
                setattr(fused, name, block.fuse())
        if not isinstance(fused.fc, nn.Linear):
            fused.fc = fused.fc.fuse()
        return fused


def _fold(parent: Any, conv: str, norm: str) -> None:
    if isinstance(getattr(parent, norm), nn.Identity):
        return
    folded = fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm))
    setattr(parent, conv, folded)
    setattr(parent, norm, nn.Identity())
