"""A network in a file, its weights as a trainer would have saved them, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

SOURCE = '''"""Two convolutions."""

import torch
from torch import nn


class Stones(nn.Module):
    """Logits (B, num_classes) for images (B, in_channels, H, W)."""

    def __init__(self, num_classes: int, in_channels: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
        )
        self.head = nn.Linear(8, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits."""
        return self.head(self.features(images).mean(dim=(2, 3)))


class NoChannels(Stones):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)


class Greedy(Stones):
    def __init__(self, depth: int, num_classes: int, in_channels: int = 1) -> None:
        super().__init__(num_classes, in_channels)


class OneMore(Stones):
    def __init__(self, num_classes: int, in_channels: int = 1) -> None:
        super().__init__(num_classes + 1, in_channels)


class Pair(Stones):
    def forward(self, images):
        return super().forward(images), images


class Flat(nn.Module):
    def __init__(self, num_classes: int, in_channels: int = 1) -> None:
        super().__init__()
        self.head = nn.LazyLinear(num_classes)
        self.head(torch.zeros(1, in_channels * 64 * 64))

    def forward(self, images):
        return self.head(images.flatten(1))


class Stops(Stones):
    def forward(self, images):
        raise RuntimeError("not\\ntoday")
'''


@dataclass(frozen=True)
class Stones:
    """Files of one network: `path` of its source, and a state_dict with its answer to images."""

    path: Path
    state: dict[str, torch.Tensor]
    images: torch.Tensor
    logits: torch.Tensor

    def named(self, name: str = "Stones") -> str:
        return f"{self.path}:{name}"

    def saved(self, content: object, name: str = "weights.pth") -> Path:
        torch.save(content, self.path.parent / name)
        return self.path.parent / name

    def reference(self, **arrays: torch.Tensor) -> Path:
        kept = {"input": self.images, "output": self.logits, **arrays}
        path = self.path.parent / "reference.npz"
        np.savez(path, **{name: value.numpy() for name, value in kept.items() if value is not None})
        return path


@pytest.fixture
def stones(tmp_path: Path) -> Stones:
    path = tmp_path / "my_network.py"
    path.write_text(SOURCE, encoding="utf-8")
    space: dict = {}
    exec(compile(SOURCE, "my_network", "exec"), space)
    generator = torch.Generator().manual_seed(5)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(5)
        network = space["Stones"](2)
        images = torch.rand(3, 1, 64, 64, generator=generator)
        network.train()(images)  # running statistics of its own
        logits = network.eval()(images)
    return Stones(path, {name: value.clone() for name, value in network.state_dict().items()}, images, logits)
