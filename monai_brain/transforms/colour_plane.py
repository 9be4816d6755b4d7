"""One plane of a colour image, where it was loaded by a reader that keeps the colours.

`SliceReader` gives grey images already; this is for MONAI's own readers.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from monai.config import NdarrayOrTensor
from monai.transforms.transform import Transform
from monai.utils import TransformBackends, convert_data_type, convert_to_dst_type

from monai_brain.errors import DataError, UnknownNameError
from monai_brain.transforms.per_key import PerKey

PLANES = ("luma", "red", "green", "blue")
RED, BLUE = 0.299, 0.114  # ITU-R BT.601; green has the rest


class ColourPlane(Transform):
    """A (3, H, W) image, red first, as (1, H, W) of its type; one channel stays as it is.

    Three equal channels give exactly that channel, whichever plane is asked for. Of four channels the
    last, which is opacity, is left out.

    Args:
        plane: "luma" for 0.299 R + 0.587 G + 0.114 B, rounded for whole numbers; "red", "green" or "blue".
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]  # noqa: RUF012  MONAI's attribute

    def __init__(self, plane: str = "luma") -> None:
        if plane not in PLANES:
            raise UnknownNameError("plane", plane, PLANES)
        self.plane = plane

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """The plane, of the kind the image came in.

        Raises:
            DataError: The image has neither 1 nor 3 nor 4 channels.
        """
        if img.ndim != 3 or img.shape[0] not in (1, 3, 4):
            raise DataError(
                f"Expected an image of 1, 3 or 4 channels, (C, H, W), got shape {tuple(img.shape)}."
            )
        if img.shape[0] == 1:
            return img
        if self.plane != "luma":
            place = PLANES.index(self.plane) - 1
            return img[place : place + 1]
        red, green, blue = convert_data_type(img, torch.Tensor)[0][:3].to(torch.float64)
        # By differences from green: where the three are equal nothing is added, so no rounding shows.
        luma = (green + RED * (red - green) + BLUE * (blue - green))[None]
        whole = not torch.is_floating_point(torch.as_tensor(img[:0]))
        return convert_to_dst_type(luma.round() if whole else luma, img, dtype=img.dtype)[0]


class ColourPlaned(PerKey):
    """`ColourPlane` for the images under `keys` of a dict: ColourPlaned("image", plane="green")."""

    kind: ClassVar[type] = ColourPlane
