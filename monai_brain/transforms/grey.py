"""One grey scale for all sources: 0..255, the step after loading and before everything else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms.transform import MapTransform, Transform
from monai.utils import TransformBackends, convert_data_type, convert_to_dst_type

from monai_brain.errors import ConfigurationError

WHITE = 255.0


class ToGrey255(Transform):
    """Grey values from 0 to 255 in float32: 8-bit images as they are, all others stretched.

    An 8-bit image is told by its type uint8, or by "stored_dtype" in a MetaTensor's meta, which
    `SliceReader` writes there and which outlives a cast to float32. Where the meta is not tracked
    load with `LoadImaged(..., dtype=None)`: a bare float32 array cannot say what it was, and is
    stretched.

    The stretch takes the finite image's minimum to 0 and its maximum to 255. NaN becomes 0, minus
    infinity 0, infinity 255. A constant image becomes 0 everywhere.

    Args:
        lower: The percentile that becomes 0; what lies below is cut off there.
        upper: The percentile that becomes 255; what lies above is cut off there.
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]  # noqa: RUF012  MONAI's attribute

    def __init__(self, lower: float = 0.0, upper: float = 100.0) -> None:
        if not 0 <= lower < upper <= 100:
            raise ConfigurationError(
                f"Percentiles {lower!r} to {upper!r}: expected 0 <= lower < upper <= 100."
            )
        self.lower, self.upper = float(lower), float(upper)

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """The image on 0..255, of the kind it came in. Shape: (C, H, W), one range for all channels."""
        meta = img.meta if isinstance(img, MetaTensor) else {}
        eight_bits = str(img.dtype) in ("uint8", "torch.uint8") or meta.get("stored_dtype") == "uint8"
        tensor = convert_data_type(img, torch.Tensor)[0]
        grey = tensor.to(torch.float32) if eight_bits else self._stretched(tensor.to(torch.float64))
        return convert_to_dst_type(grey, img, dtype=torch.float32)[0]

    def _stretched(self, values: torch.Tensor) -> torch.Tensor:
        finite = values[torch.isfinite(values)]
        if finite.numel() == 0:
            return torch.zeros_like(values, dtype=torch.float32)
        low, high = self._limits(finite)
        if high <= low:
            return torch.zeros_like(values, dtype=torch.float32)
        scaled = torch.nan_to_num((values - low) * (WHITE / (high - low)), nan=0.0, posinf=WHITE, neginf=0.0)
        return scaled.clamp(0.0, WHITE).to(torch.float32)

    def _limits(self, finite: torch.Tensor) -> tuple[float, float]:
        if (self.lower, self.upper) == (0.0, 100.0):
            low, high = torch.aminmax(finite)
            return float(low), float(high)
        ordered = finite.sort().values  # torch.quantile takes no more than 16 million values
        return _percentile(ordered, self.lower), _percentile(ordered, self.upper)


class ToGrey255d(MapTransform):
    """`ToGrey255` for the images under `keys` of a dict.

    Args:
        keys: The keys of the images.
        lower: See `ToGrey255`.
        upper: See `ToGrey255`.
        allow_missing_keys: Pass over keys that a dict lacks.
    """

    backend = ToGrey255.backend

    def __init__(
        self,
        keys: KeysCollection,
        lower: float = 0.0,
        upper: float = 100.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.grey = ToGrey255(lower, upper)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The dict with its images on 0..255."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.grey(result[key])
        return result


def _percentile(ordered: torch.Tensor, percent: float) -> float:
    position = (ordered.numel() - 1) * percent / 100
    below = int(position)
    above = min(below + 1, ordered.numel() - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (position - below))
