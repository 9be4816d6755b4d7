"""The network: three convolutions that see the colours, and a linear layer."""

import torch
from torch import nn


class StripReader(nn.Module):
    """Logits (B, num_classes) for images (B, in_channels, H, W).

    Args:
        num_classes: Outputs of the head.
        in_channels: Channels of the image: red, green, blue.
        width: Channels of each convolution.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits."""
        return self.head(self.features(images).mean(dim=(2, 3)))
