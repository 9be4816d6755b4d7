"""Which parameters weight decay is for."""

from __future__ import annotations

from typing import Any

from torch import nn


def groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: matrices and kernels, which decay, and the rest.

    Biases and the scales of normalisations have one axis; to draw them to zero only moves what the next
    layer sees.
    """
    trained = [part for part in network.parameters() if part.requires_grad]
    return [
        {"params": [part for part in trained if part.ndim > 1], "weight_decay": weight_decay},
        {"params": [part for part in trained if part.ndim <= 1], "weight_decay": 0.0},
    ]
