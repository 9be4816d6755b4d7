"""The dictionary form of a transform that treats each image by itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms.transform import MapTransform
from monai.utils import convert_to_dst_type


class PerKey(MapTransform):
    """A dict with the images under some of its keys transformed.

    Args:
        keys: The keys of the images.
        allow_missing_keys: Pass over keys that a dict lacks.
        **options: For the array form, `kind`.
    """

    kind: ClassVar[Callable[..., Any]]

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False, **options: Any) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = type(self).kind(**options)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The dict with its images transformed."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result


def as_array(img: NdarrayOrTensor) -> np.ndarray:
    """The image's values as a NumPy array, without its meta."""
    if not isinstance(img, torch.Tensor):
        return np.asarray(img)
    plain = img.as_tensor() if isinstance(img, MetaTensor) else img
    return np.asarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy(force=True))


def as_kind(values: np.ndarray, img: NdarrayOrTensor, dtype: Any = torch.float32) -> NdarrayOrTensor:
    """The values as what `img` is, an array, a tensor or a MetaTensor with its meta, in `dtype`."""
    return convert_to_dst_type(np.ascontiguousarray(values), img, dtype=dtype)[0]
