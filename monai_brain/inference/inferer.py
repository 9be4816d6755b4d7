"""One forward pass, in the precision and the memory layout that the device is fastest with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer


class MixedPrecisionInferer(SimpleInferer):
    """MONAI's SimpleInferer at the boundary of the network: plain tensors in, fp32 out, autocast between.

    MONAI's engines autocast on CUDA alone. The inferer is the one place that every forward pass of
    training, validation and inference goes through, so autocast stands here, for any device, and
    leaves the network and the keys of its state_dict as they are. bfloat16 needs no loss scaling.
    """

    def __init__(self, amp: bool = False) -> None:
        super().__init__()
        self.amp = amp

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """The network's output for a batch of images, (B, C, H, W)."""
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        if not self.amp:
            return network(plain, *args, **kwargs)
        with torch.autocast(plain.device.type, dtype=torch.bfloat16):
            output = network(plain, *args, **kwargs)
        return output.float()
