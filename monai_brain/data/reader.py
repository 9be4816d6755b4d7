"""One reader for every image format: (H, W), rows down, told apart by content and not by suffix."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.image_reader import ImageReader

from monai_brain.data.formats import recognised
from monai_brain.data.slices import Options, UnreadableImageError, check_contrast
from monai_brain.errors import MonaiBrainError

PathLike = str | os.PathLike[str]
Meta = dict[str, Any]


def read_slice(
    path: PathLike, frame: int | None = None, force: bool = False, voi: bool | None = None
) -> tuple[np.ndarray, Meta]:
    """One grey image, (H, W) with rows down in its stored type, and what MONAI needs to know of it.

    The meta holds nothing about a person. Its "stored_dtype" outlives MONAI's cast to float32, so
    that `ToGrey255` still knows an 8-bit image.

    Args:
        path: The file; its content decides how it is read.
        frame: See `Options`.
        force: See `Options`.
        voi: See `Options`.

    Raises:
        UnreadableImageError: There is no readable image; reason and detail say why.
    """
    file = Path(path)
    kind = recognised(file)
    try:
        image, known = getattr(importlib.import_module(kind.module), kind.function)(
            file, Options(frame, force, voi)
        )
    except (MonaiBrainError, MemoryError):
        raise
    except Exception as error:  # damaged files raise whatever their decoder trips over
        raise UnreadableImageError(file.name, "damaged", f"{type(error).__name__}: {error}") from error
    check_contrast(file, image)
    return image, {
        "format": kind.name,
        "stored_dtype": str(image.dtype),
        "spatial_shape": np.asarray(image.shape),
        "original_channel_dim": "no_channel",
        "affine": np.eye(4),
    } | known


class SliceReader(ImageReader):
    """MONAI's door to `read_slice`: `LoadImaged(keys="image", reader=SliceReader(), dtype=None)`.

    The file is read in `get_data`, not in `read`: LoadImage answers an error in `read` by trying its
    other readers, which would take what is refused here, and lose the reason.

    Args:
        frame: See `Options`.
        force: See `Options`.
        voi: See `Options`.
    """

    def __init__(self, frame: int | None = None, force: bool = False, voi: bool | None = None) -> None:
        self.options = Options(frame, force, voi)

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """True: the content decides."""
        return True

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[Path]:
        """The paths, unread."""
        return [Path(name) for name in ([data] if isinstance(data, str | os.PathLike) else data)]

    def get_data(self, img: Sequence[Path]) -> tuple[np.ndarray, Meta]:
        """The image and its meta, as `read_slice` gives them."""
        if len(img) != 1:
            name = img[0].name if img else "no file"
            raise UnreadableImageError(name, "several files", f"one item is one file, not {len(img)}")
        return read_slice(img[0], self.options.frame, self.options.force, self.options.voi)
