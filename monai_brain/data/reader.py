"""One reader for every image format: (H, W), rows down, told apart by content and not by suffix."""

from __future__ import annotations

import importlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.image_reader import ImageReader

from monai_brain.data import raster
from monai_brain.data.slices import UnreadableImageError, check_contrast
from monai_brain.errors import MonaiBrainError

PathLike = str | os.PathLike[str]
Meta = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A format: how its first bytes look, and the function that reads it, named so that it loads late."""

    name: str
    begins: Callable[[bytes], bool]
    module: str
    function: str


FORMATS = (
    Format("png", lambda head: head.startswith(raster.PNG), "monai_brain.data.raster", "read_png"),
    Format("jpeg", lambda head: head.startswith(raster.JPEG), "monai_brain.data.raster", "read_jpeg"),
    Format(
        "picture", lambda head: head.startswith(raster.PICTURES), "monai_brain.data.raster", "read_picture"
    ),
)
_HEAD = 1024
_TEXT = frozenset(bytes(range(32, 127)) + b"\t\n\r\x0c")


def read_slice(path: PathLike) -> tuple[np.ndarray, Meta]:
    """One grey image, (H, W) with rows down in its stored type, and what MONAI needs to know of it.

    The meta holds nothing about a person. Its "stored_dtype" outlives MONAI's cast to float32, so
    that `ToGrey255` still knows an 8-bit image.

    Raises:
        UnreadableImageError: There is no readable image; reason and detail say why.
    """
    file = Path(path)
    kind = _format(file)
    try:
        image = getattr(importlib.import_module(kind.module), kind.function)(file)
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
    }


class SliceReader(ImageReader):
    """MONAI's door to `read_slice`: `LoadImaged(keys="image", reader=SliceReader(), dtype=None)`.

    The file is read in `get_data`, not in `read`: LoadImage answers an error in `read` by trying its
    other readers, which would take what is refused here, and lose the reason.
    """

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
        return read_slice(img[0])


def _format(file: Path) -> Format:
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe or a device could block for ever
            what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise UnreadableImageError(file.name, "not a file", f"it is {what}; name one image file")
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError as error:
        raise UnreadableImageError(file.name, "missing", "there is no such file") from error
    except PermissionError as error:
        raise UnreadableImageError(file.name, "no permission", "the file may not be read") from error
    except (OSError, ValueError) as error:
        raise UnreadableImageError(file.name, "not a file", str(error.args[-1])) from error
    for known in FORMATS:
        if known.begins(head):
            return known
    if not head:
        raise UnreadableImageError(file.name, "empty", "it has 0 bytes")
    if not head.strip(b"\x00"):
        raise UnreadableImageError(file.name, "not an image", "it begins with nothing but zeros")
    what = "it is text" if _TEXT.issuperset(head) else "its first bytes are of no known format"
    raise UnreadableImageError(file.name, "not an image", what)
