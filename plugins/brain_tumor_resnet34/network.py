"""Improved ResNet34 for brain tumours (arXiv 2512.03751): ResNet34 and the three parts of its ablation."""

from __future__ import annotations

import copy

import torch
from torch import nn

from monai_brain.inference.fuse import fold_batch_norm

from .blocks import (
    InceptionDownsampling,
    MultiScaleConvolution,
    NormalisedConvolution,
    PhasedStem,
    ResidualStep,
)

STAGE_CHANNELS = (64, 128, 256, 512)
STAGE_BLOCKS = (3, 4, 6, 3)


class ImprovedResNet34(nn.Module):
    """ResNet34 with an Inception downsampling (A), a multi-scale stem (B), squeeze-and-excitation (C).

    With the three parts off it is torchvision's resnet34, names of parameters included, so that
    ImageNet weights load by a plain load_state_dict.

    Grad-CAM reads the last stage, `layer4` (7 x 7 for 224 pixels); `layer3` gives 14 x 14.

    Args:
        num_classes: Outputs of the linear head (logits).
        in_channels: 3 as published, or 1 for grey.
        inception_downsampling: Part A, in place of the first block of stages 2, 3 and 4.
        multi_scale_stem: Part B, in place of the 7 x 7 convolution.
        squeeze_excitation: Part C, in every residual block.
        figure_widths: Widths of part A as written in the paper's figure 4, not as its text implies.
        reduction: Squeeze ratio of part C.
    """

    def __init__(
        self,
        num_classes: int = 4,
        in_channels: int = 3,
        inception_downsampling: bool = True,
        multi_scale_stem: bool = True,
        squeeze_excitation: bool = True,
        figure_widths: bool = False,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        ratio = reduction if squeeze_excitation else 0
        width = STAGE_CHANNELS[0]
        self.conv1: nn.Module = (
            MultiScaleConvolution(in_channels, width)
            if multi_scale_stem
            else nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        )
        self.bn1: nn.Module = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        stages: list[nn.Sequential] = []
        before = width
        for channels, blocks in zip(STAGE_CHANNELS, STAGE_BLOCKS, strict=True):
            stage: list[nn.Module] = []
            for index in range(blocks):
                first = index == 0 and channels != width
                if first and inception_downsampling:
                    stage.append(InceptionDownsampling(before, figure_widths))
                else:
                    stage.append(ResidualStep(before, channels, 2 if first else 1, ratio))
                before = channels
            stages.append(nn.Sequential(*stage))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, num_classes)
        self._initialise()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images (B, in_channels, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: torch.Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits

    def fuse(self) -> ImprovedResNet34:
        """A new network for inference that computes the same: stem pairs folded, no BatchNorm."""
        fused = copy.deepcopy(self).eval()
        for module in list(fused.modules()):
            if isinstance(module, NormalisedConvolution | ResidualStep):
                module.fold_()
        if isinstance(fused.bn1, nn.BatchNorm2d):
            if isinstance(fused.conv1, MultiScaleConvolution):
                fused.conv1 = fused.conv1.folded(fused.bn1)
            elif isinstance(fused.conv1, nn.Conv2d):
                fused.conv1 = fold_batch_norm(fused.conv1, fused.bn1)
            fused.bn1 = nn.Identity()
        return fused

    def for_integers(self) -> ImprovedResNet34:
        """The fused network with its stem laid out for 8-bit kernels; for images of even sides."""
        fused = self.fuse()
        if isinstance(fused.conv1, MultiScaleConvolution):
            fused.conv1 = PhasedStem(fused.conv1)
        return fused

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
