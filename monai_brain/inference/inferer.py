"""One forward pass, in the precision and the memory layout that the device is fastest with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer

from monai_brain import recipe
from monai_brain.errors import ConfigurationError


class MixedPrecisionInferer(SimpleInferer):
    """MONAI's SimpleInferer at the boundary of the network: plain tensors in, fp32 out, autocast between.

    MONAI's engines autocast on CUDA alone. The inferer is the one place that every forward pass of
    training, validation and inference goes through, so autocast stands here, for any device, and
    leaves the network and the keys of its state_dict as they are. bfloat16 needs no loss scaling.

    Args:
        amp: True or "bf16" for bfloat16 on any device; "fp16" for half precision, on a GPU alone; False
            for none. "auto" trains in bfloat16 on a GPU that has it, and does everything else in single
            precision: what is judged and predicted is then the same on every machine.

    Raises:
        ConfigurationError: `amp` is something else.
    """

    def __init__(self, amp: bool | str = False) -> None:
        super().__init__()
        if not isinstance(amp, bool | str) or amp not in recipe.CHOICES["amp"]:
            raise ConfigurationError(f"amp is {amp!r}, but takes auto, true, false, bf16 or fp16.")
        self.amp = amp

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """The network's output for a batch of images, (B, C, H, W)."""
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        kind = self.precision(plain.device, bool(getattr(network, "training", False)))
        if kind is None:
            return network(plain, *args, **kwargs)
        with torch.autocast(plain.device.type, dtype=kind):
            output = network(plain, *args, **kwargs)
        return output.float()

    def precision(self, device: torch.device, training: bool) -> torch.dtype | None:
        """The type that autocast uses there, or None for single precision.

        Raises:
            ConfigurationError: Half precision is wanted on a CPU.
        """
        if self.amp == "auto":
            has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if training and has_it else None
        if self.amp == "fp16":
            if device.type != "cuda":
                raise ConfigurationError(f"amp=fp16 needs a GPU, not {device.type}. Take bf16 or false.")
            return torch.float16
        return torch.bfloat16 if self.amp else None
