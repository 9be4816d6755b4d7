"""The slow change of brightness across an MR image, which the coil makes, taken out by N4."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from monai.config import NdarrayOrTensor
from monai.transforms.transform import Transform
from monai.utils import TransformBackends

from monai_brain.errors import ConfigurationError, MissingExtraError
from monai_brain.transforms.foreground import check, foreground
from monai_brain.transforms.per_key import PerKey, as_array, as_kind

_LEAST = 16  # sides below which there is no field to speak of
_ENDS = (0.1, 10.0)  # no coil makes more: the fit ran away


class EvenField(Transform):
    """Each channel divided by its bias field (N4: DOI 10.1109/TMI.2010.2046908); float32.

    ITK finds the field on a smaller copy, within the foreground; it is smooth, so that nothing is lost
    thereby. The foreground's mean stays. Images below 16 pixels a side, and those without foreground or
    contrast, stay as they are. Needs ITK, the extra "dicom".

    Args:
        shrink: How many times smaller the copy is.
        iterations: The most iterations at each of the fitting levels, each twice as fine as the one before.
        above: What is foreground, see `foreground`.

    Raises:
        MissingExtraError: When called without ITK.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  MONAI's attribute

    def __init__(
        self, shrink: int = 4, iterations: tuple[int, ...] = (50, 50, 50), above: float | str = "otsu"
    ) -> None:
        check(above)
        if shrink < 1 or not iterations or min(iterations) < 1:
            raise ConfigurationError(
                f"shrink {shrink!r}, iterations {iterations!r}: expected whole numbers of at least 1."
            )
        self.shrink, self.above = int(shrink), above
        self.iterations = tuple(int(number) for number in iterations)

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """The image, (C, H, W), of the kind it came in."""
        values = as_array(img).astype(np.float32)
        return as_kind(np.stack([self._channel(one) for one in values]) if len(values) else values, img)

    def _channel(self, values: np.ndarray) -> np.ndarray:
        inside = foreground(values, self.above)
        if min(values.shape) < _LEAST or not inside.any() or not np.ptp(values[inside]) > 0:
            return values
        field = self.field(values)
        even = values / field
        return np.asarray(even * (values[inside].mean() / even[inside].mean()))

    def field(self, values: np.ndarray) -> np.ndarray:
        """The bias field of a slice (H, W), positive, of its shape."""
        try:
            import itk
        except ImportError as error:
            raise MissingExtraError("itk", "dicom") from error
        height, width = values.shape
        times = max(1, min(self.shrink, min(values.shape) // _LEAST))
        size = (width // times, height // times)
        # N4 works on logarithms: what is not above zero has none.
        small = cv2.resize(np.nan_to_num(values), size, interpolation=cv2.INTER_AREA).clip(1e-3, None)
        mask = foreground(small, self.above).astype(np.uint8)
        image, where = itk.image_from_array(small), itk.image_from_array(mask)
        plane, of_mask = itk.Image[itk.F, 2], itk.Image[itk.UC, 2]
        n4 = itk.N4BiasFieldCorrectionImageFilter[plane, of_mask, plane].New(image, MaskImage=where)
        n4.SetNumberOfFittingLevels([len(self.iterations)] * 2)
        n4.SetMaximumNumberOfIterations(list(self.iterations))
        n4.SetMaskLabel(1)
        n4.Update()
        found = small / np.maximum(itk.array_view_from_image(n4.GetOutput()), 1e-6)
        full = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(full.clip(*_ENDS))


class EvenFieldd(PerKey):
    """`EvenField` for the images under `keys` of a dict: EvenFieldd("image", shrink=2)."""

    kind: ClassVar[type] = EvenField
