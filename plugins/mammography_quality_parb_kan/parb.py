"""The parallel attention residual block (PARB)."""

from __future__ import annotations

import copy

import torch
from monai.networks.blocks import ChannelSELayer
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .s2_attention import S2Attention


class ParallelAttention(nn.Module):
    """X + conv1x1(SE(conv(X)) + S2(X)): channel attention and shifted attention side by side.

    Args:
        channels: Channels of the feature map.
        kernel: Width of the convolution before squeeze-and-excitation, 3 or 1.
        reduction: Squeeze ratio.
    """

    def __init__(self, channels: int, kernel: int = 3, reduction: int = 16) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.act = nn.ReLU(inplace=True)
        self.se = ChannelSELayer(spatial_dims=2, in_channels=channels, r=reduction)
        self.s2 = S2Attention(channels)
        self.project = nn.Conv2d(channels, channels, 1)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The feature map (B, C, H, W) with what both attentions add to it."""
        excited = self.se(self.act(self.bn(self.conv(x))))
        return x + self.project(excited + self.s2(x))

    def fuse(self) -> FusedParallelAttention:
        """The same function in eval mode with fewer layers; this block stays as it is."""
        return FusedParallelAttention(self)


class FusedParallelAttention(nn.Module):
    """A PARB for inference: BatchNorm folded, and one convolution where S2's last and PARB's last stood.

    conv1x1(E + merge(M)) is linear in E and M, so it is one convolution of both, stacked.

    Args:
        block: The trained block, which is copied.
    """

    def __init__(self, block: ParallelAttention) -> None:
        super().__init__()
        whole = copy.deepcopy(block).eval()
        self.conv = fuse_conv_bn_eval(whole.conv, whole.bn)
        self.act, self.se, self.s2 = whole.act, whole.se, whole.s2
        outer, inner = whole.project.state_dict(), whole.s2.merge.state_dict()
        del self.s2.merge
        kernel = outer["weight"].flatten(1).cpu().double()
        stacked = torch.cat([kernel, kernel @ inner["weight"].flatten(1).cpu().double()], dim=1)
        bias = outer["bias"].cpu().double() + kernel @ inner["bias"].cpu().double()
        self.project = nn.Conv2d(stacked.shape[1], len(stacked), 1).to(whole.project.weight)
        self.project.load_state_dict({"weight": stacked[..., None, None], "bias": bias})
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The feature map (B, C, H, W) with what both attentions add to it."""
        excited = self.se(self.act(self.conv(x)))
        return x + self.project(torch.cat([excited, self.s2.mix(x)], dim=1))
