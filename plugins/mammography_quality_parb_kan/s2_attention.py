"""S2-attention: a feature map and two shifted copies of it, weighed by split attention."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

PARTS = 3


class S2Attention(nn.Module):
    """Attention over a feature map and two spatially shifted copies of it; shape and size stay.

    A pointwise map C -> 3C gives three parts. Of the first, the four channel quarters move one pixel
    right, left, down and up; of the second down, up, right and left; the third stays. At the edge that
    a quarter leaves, its own values remain. Per channel, the three parts are added with weights that
    sum to one (softmax), found from their mean over all positions by two pointwise maps with a GELU
    between; a pointwise map C -> C follows.

    The mean, where the publication of S2-MLPv2 has a sum, keeps the weights alike for every image size.

    Args:
        channels: Channels of the feature map, a multiple of four.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.expand = nn.Conv2d(channels, PARTS * channels, 1)
        self.weigh = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            nn.GELU(),
            nn.Linear(channels, PARTS * channels, bias=False),
        )
        self.merge = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The attended feature map (B, C, H, W)."""
        return self.merge(self.mix(x))

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        """The weighted sum of the three parts, before the last pointwise map."""
        first, second, third = self.expand(x).chunk(3, dim=1)
        first = _shift(first, ["right", "left", "down", "up"])
        second = _shift(second, ["down", "up", "right", "left"])
        mean = first.mean((2, 3)) + second.mean((2, 3)) + third.mean((2, 3))
        weights = functional.softmax(self.weigh(mean).unflatten(1, [3, self.channels]), dim=1)
        weight = weights[..., None, None].to(third.dtype).unbind(1)
        mixed = torch.addcmul(weight[2] * third, weight[0], first)
        return torch.addcmul(mixed, weight[1], second)


def _shift(x: torch.Tensor, ways: list[str]) -> torch.Tensor:
    """The feature map with each of its channel groups moved one pixel in its own direction."""
    moved: list[torch.Tensor] = []
    parts = x.chunk(len(ways), dim=1)
    for index, way in enumerate(ways):
        part = parts[index]
        if way == "right":
            moved.append(torch.cat([part[..., :1], part[..., :-1]], dim=-1))
        elif way == "left":
            moved.append(torch.cat([part[..., 1:], part[..., -1:]], dim=-1))
        elif way == "down":
            moved.append(torch.cat([part[..., :1, :], part[..., :-1, :]], dim=-2))
        else:
            moved.append(torch.cat([part[..., 1:, :], part[..., -1:, :]], dim=-2))
    return torch.cat(moved, dim=1)
