"""The formats that can be read, told apart by a file's first bytes and never by its suffix."""

from __future__ import annotations

import importlib
import os
import stat
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data import figshare, raster, volumes
from monai_brain.data.slices import Options, UnreadableImageError, check_contrast
from monai_brain.errors import DataError, MonaiBrainError

PathLike = str | os.PathLike[str]
Meta = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A format: how its first bytes look, and the function that reads it, named so that it loads late."""

    name: str
    begins: Callable[[bytes], bool]
    module: str
    function: str


def _looks_like_bare_dicom(head: bytes) -> bool:
    """Whether the first element is one of the groups 2 or 8, with an even and plausible length."""
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    length = int.from_bytes(head[6:8] if explicit else head[4:8], "little")
    return (
        head[:2] in (b"\x08\x00", b"\x02\x00") and head[3:4] == b"\x00" and length % 2 == 0 and length < 1024
    )


_DATA = "monai_brain.data"
# A DICOM file may wear the first bytes of another format in its preamble: it comes first.
FORMATS = (
    Format("dicom", lambda head: head[128:132] == b"DICM", f"{_DATA}.dicom", "read_dicom"),
    Format("png", lambda head: head.startswith(raster.PNG), f"{_DATA}.raster", "read_png"),
    Format("jpeg", lambda head: head.startswith(raster.JPEG), f"{_DATA}.raster", "read_jpeg"),
    Format("picture", lambda head: head.startswith(raster.PICTURES), f"{_DATA}.raster", "read_picture"),
    Format("nrrd", lambda head: head.startswith(b"NRRD000"), f"{_DATA}.volumes", "read_nrrd"),
    Format("nifti", volumes.is_nifti, f"{_DATA}.volumes", "read_nifti"),
    Format("metaimage", volumes.is_meta_image, f"{_DATA}.volumes", "read_meta_image"),
    Format("mat", figshare.is_mat, f"{_DATA}.figshare", "read_mat"),
    Format("dicom", _looks_like_bare_dicom, f"{_DATA}.dicom", "refuse_bare"),
)
_HEAD = 1024
_TEXT = frozenset(bytes(range(32, 127)) + b"\t\n\r\x0c")


def recognised(file: Path) -> Format:
    """The format that the file's first bytes show; a pipe or a device is refused, never waited for.

    Raises:
        UnreadableImageError: It is no file, cannot be opened, or is of no known format.
    """
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


def chosen(item: Mapping[Any, Any], key: Hashable = "frame") -> int | None:
    """The frame that an item chooses, counting from 1 as readers do; None where it chooses none.

    In items the first frame is 0, as a number or as text: a table knows only text.

    Raises:
        DataError: It is no whole number of at least 0.
    """
    value = item.get(key)
    if value is None or value == "":
        return None
    text = str(value)
    if not text.isdecimal():
        raise DataError(f"frame is {value!r}. Expected a whole number, the first frame being 0.")
    return int(text) + 1


def read_item(item: Mapping[Any, Any]) -> np.ndarray:
    """The image of an item, or the frame of it that it chooses, (H, W) in its stored type.

    Raises:
        DataError: It cannot be read, or has no such frame.
    """
    return read_slice(item["image"], chosen(item))[0]
