"""Mean 0 and standard deviation 1 over the tissue, not over the ground around it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from monai.config import NdarrayOrTensor
from monai.transforms.transform import Transform
from monai.utils import TransformBackends

from monai_brain.errors import ConfigurationError
from monai_brain.transforms.foreground import check, foreground
from monai_brain.transforms.per_key import PerKey, as_array, as_kind


class ForegroundZScore(Transform):
    """Each channel less its foreground's mean, divided by its foreground's standard deviation; float32.

    MONAI's NormalizeIntensity does so over the whole image or over what is not exactly zero, which JPEG
    and resampling leave little of. Where the foreground is empty or has one value only, the result is 0.

    Args:
        above: What is foreground, see `foreground`: a grey value, "otsu" or "mean".
        background: What all else becomes; None treats it as the foreground is treated.
        clip: Values beyond so many standard deviations are cut off there; None cuts nothing.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  MONAI's attribute

    def __init__(
        self, above: float | str = "otsu", background: float | None = None, clip: float | None = None
    ) -> None:
        check(above)
        if clip is not None and not clip > 0:
            raise ConfigurationError(f"clip is {clip!r}. Expected a number above 0.")
        self.above, self.background, self.clip = above, background, clip

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """The image, (C, H, W), of the kind it came in."""
        values = as_array(img).astype(np.float64)
        return as_kind(np.stack([self._channel(one) for one in values]) if len(values) else values, img)

    def _channel(self, values: np.ndarray) -> np.ndarray:
        inside = foreground(values, self.above)
        spread = values[inside].std() if inside.any() else 0.0
        if not spread > 0:
            return np.zeros_like(values)
        result = np.nan_to_num((values - values[inside].mean()) / spread, posinf=0.0, neginf=0.0)
        if self.background is not None:
            result[~inside] = self.background
        return result if self.clip is None else result.clip(-self.clip, self.clip)


class ForegroundZScored(PerKey):
    """`ForegroundZScore` for the images under `keys` of a dict: ForegroundZScored("image", clip=5)."""

    kind: ClassVar[type] = ForegroundZScore
