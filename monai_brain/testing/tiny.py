"""A model so small that a test can train it in a second, and its bundle."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.files import read_json, sha256, write_json
from monai_brain.inference import weights as network_weights

SEED = 0


class TinyClassifier(nn.Module):
    """Three convolutions and a linear head: the network of the tests in which the network does not matter.

    Args:
        num_classes: Outputs of the head (logits).
        in_channels: Channels of the image.
        width: Channels of the first convolution; the others have twice as many.
    """

    def __init__(self, num_classes: int, in_channels: int = 1, width: int = 8) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images (B, in_channels, H, W)."""
        logits: torch.Tensor = self.head(self.features(x).mean(dim=(2, 3)))
        return logits


def tiny_bundle(folder: str | os.PathLike[str], *, weights: bool = False) -> Bundle:
    """A writable bundle of TinyClassifier in a new or empty folder: model "tiny", four brain classes, 32 px.

    Args:
        folder: Where it goes.
        weights: Also write models/model.pt with random weights, and record its SHA-256.

    Raises:
        OutputError: The folder holds something already.
    """
    bundle = Bundle.in_package("monai_brain.testing", "tiny_classification").copy(folder)
    if not weights:
        return bundle
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network_weights.save(network_weights.network(bundle), bundle.root / WEIGHTS_FILE)
    path: Path = bundle.root / "configs" / "metadata.json"
    metadata = read_json(path)
    metadata["monai_brain"]["weights"] = {"sha256": sha256(bundle.root / WEIGHTS_FILE), "licence": "CC0-1.0"}
    write_json(path, metadata)
    return Bundle.at(folder)
