"""One reader for every image format: (H, W), rows down, told apart by content and not by suffix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.image_reader import ImageReader

from monai_brain.data.formats import Meta, PathLike
from monai_brain.data.formats import read_slice as read_slice
from monai_brain.data.slices import Options, UnreadableImageError


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
