"""Slices of NIfTI, NRRD and MetaImage files, laid out as a DICOM viewer would show them."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data.slices import MAX_PIXELS, SEVERAL, Options, Slice, UnreadableImageError, check_size
from monai_brain.errors import MissingExtraError

PLANES = ("sagittal", "coronal", "axial")  # by the axis of LPS that looks out of them
VOLUMES = ("nifti", "nrrd", "metaimage")
_KINDS = {"nifti": "NiftiImageIO", "nrrd": "NrrdImageIO", "metaimage": "MetaImageIO"}
_MAGIC_AT, _NIFTI_HEAD = 344, 540
# Which way columns and rows run on the screen, by the axis that looks out of it (LPS, toward +):
# sagittal: posterior, then down; coronal and axial: to the patient's left, then down or posterior.
_SCREEN = {0: ((1, 1), (2, -1)), 1: ((0, 1), (2, -1)), 2: ((0, 1), (1, 1))}


def is_nifti(head: bytes) -> bool:
    """Whether a file begins like NIfTI-1 or NIfTI-2, compressed or not."""
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _NIFTI_HEAD)
        except zlib.error:
            return False
    return head[_MAGIC_AT : _MAGIC_AT + 3] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2")


def is_meta_image(head: bytes) -> bool:
    """Whether a file begins like the text header of a MetaImage."""
    return head.split(b"=", 1)[0].strip() in (b"ObjectType", b"NDims", b"Comment")


def read_nifti(path: Path, options: Options) -> Slice:
    """A slice of a NIfTI file, with its slope and intercept applied; ITK reads NaN as 0 there."""
    if path.name.endswith(".gz"):
        _check_gzip(path)
    return _read(path, options, "NiftiImageIO")


def read_nrrd(path: Path, options: Options) -> Slice:
    """A slice of a NRRD file."""
    return _read(path, options, "NrrdImageIO")


def read_meta_image(path: Path, options: Options) -> Slice:
    """A slice of a MetaImage file (.mha, .mhd)."""
    return _read(path, options, "MetaImageIO")


def _check_gzip(path: Path) -> None:
    """Refuse a cut or damaged file: ITK fills what is missing with zeros."""
    try:
        with gzip.open(path) as stream:
            left = 16 * MAX_PIXELS
            while left > 0 and (part := stream.read(1 << 20)):
                left -= len(part)
    except EOFError as error:
        raise UnreadableImageError(path.name, "truncated", "the compressed data end too early") from error
    except (OSError, zlib.error) as error:
        raise UnreadableImageError(path.name, "damaged", "the compressed data are broken") from error


def volume_header(path: Path, kind: str, plane: str | None = None) -> tuple[int, str]:
    """How many slices a volume holds, and the plane in which they lie, empty for a single one.

    Args:
        path: The file.
        kind: One of `VOLUMES`.
        plane: Along which it is cut; by default as it is stored.
    """
    size, directions = _header(path, _KINDS[kind])[1:]
    axis = _axis(directions, plane)
    slices = size[axis] if len(size) > axis else 1
    return slices, _plane(directions[:, axis]) if slices > 1 else ""


def read_volume(path: Path, plane: str | None = None) -> list[np.ndarray]:
    """All slices of a volume, each as `read_slice` gives it: as stored, or cut along a plane.

    Args:
        path: NIfTI, NRRD or MetaImage.
        plane: axial, coronal or sagittal; by default the plane in which the slices are stored.
    """
    return cut(*volume_array(path), plane)


def volume_array(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The pixels as the file stores them, last axis first, and the directions of the axes in LPS."""
    kind = recognised_volume(path)
    if kind == "nifti" and path.name.endswith(".gz"):
        _check_gzip(path)
    return _array(path, _KINDS[kind])


def cut(array: np.ndarray, directions: np.ndarray, plane: str | None = None) -> list[np.ndarray]:
    """The slices of an array as `volume_array` gives it, in the order and the layout of `read_volume`."""
    volume = array.reshape(-1, *array.shape[-2:])
    axis = _axis(directions, plane)
    order = [number for number in range(3) if number != axis] + [axis]
    turned = volume.transpose([2 - number for number in reversed(order)])
    return [upright(slice_, directions[:, order]) for slice_ in turned]


def slice_meta(image: np.ndarray) -> dict[str, Any]:
    """What goes with a slice of `read_volume`, as `read_slice` would give it."""
    return {"stored_dtype": str(image.dtype), "affine": np.eye(4), "original_channel_dim": "no_channel"}


def recognised_volume(path: Path) -> str:
    """nifti, nrrd or metaimage, by the file's first bytes."""
    with path.open("rb") as stream:
        head = stream.read(1024)
    return "nrrd" if head.startswith(b"NRRD000") else "metaimage" if is_meta_image(head) else "nifti"


def _axis(directions: np.ndarray, plane: str | None) -> int:
    """The file's axis that looks out of a plane; the last one where none is named."""
    return 2 if plane is None else int(np.abs(directions[PLANES.index(plane)]).argmax())


def _plane(normal: np.ndarray) -> str:
    return PLANES[int(np.abs(normal).argmax())]


def _read(path: Path, options: Options, kind: str) -> Slice:
    _, size, _ = _header(path, kind)
    index = _index(path, size, options.frame)
    array, directions = _array(path, kind)
    plane = array.reshape(-1, *array.shape[-2:])[index]
    return upright(plane, directions), {"frame": index + 1}


def _header(path: Path, kind: str) -> tuple[Any, list[int], np.ndarray]:
    try:
        import itk
    except ImportError as error:
        raise MissingExtraError("itk", "dicom") from error
    try:
        header = getattr(itk, kind).New()
        header.SetFileName(str(path))
        header.ReadImageInformation()
        axes = range(header.GetNumberOfDimensions())
        size = [int(header.GetDimensions(axis)) for axis in axes]
        components = int(header.GetNumberOfComponents())
        turn = np.array([[float(value) for value in header.GetDirection(axis)] for axis in axes]).T
    except Exception as error:  # ITK raises RuntimeError with a page of its own
        raise UnreadableImageError(path.name, "damaged", "the header cannot be read by ITK") from error
    _check(path, size, components)
    return itk, size, _three(turn)


def _array(path: Path, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The pixels, last axis first, and the directions of the axes in LPS."""
    itk = _header(path, kind)[0]
    try:
        image = itk.imread(str(path), imageio=getattr(itk, kind).New())
        array = np.array(itk.array_view_from_image(image))
        turn = np.array(itk.array_from_matrix(image.GetDirection()), float)
    except Exception as error:
        raise UnreadableImageError(path.name, "truncated", "the pixels cannot be read by ITK") from error
    return array, _three(turn)


def _three(turn: np.ndarray) -> np.ndarray:
    directions = np.eye(3)
    count = min(3, len(turn))
    directions[:count, :count] = turn[:count, :count]
    return directions


def _check(path: Path, size: list[int], components: int) -> None:
    if components != 1:
        raise UnreadableImageError(path.name, "unsupported", f"{components} values a pixel; one is expected")
    if len(size) < 2 or (len(size) > 3 and any(number != 1 for number in size[3:])):
        raise UnreadableImageError(
            path.name, "unsupported", f"it has the shape {size}; 2 or 3 axes are expected"
        )
    check_size(path, size[1], size[0])
    check_size(path, size[1] * int(np.prod(size[2:])), size[0], 16 * MAX_PIXELS)
    if path.suffix.lower() == ".nii" and path.stat().st_size < _claimed(path, int(np.prod(size))):
        raise UnreadableImageError(path.name, "truncated", "it is shorter than its header claims")


def _claimed(path: Path, pixels: int) -> int:
    """How long an uncompressed NIfTI file must be; ITK fills with zeros what is cut off."""
    with path.open("rb") as stream:
        head = stream.read(_NIFTI_HEAD)
    order = "<" if int.from_bytes(head[:4], "little") in (348, 540) else ">"
    if struct.unpack_from(order + "i", head)[0] == 540:
        (offset,), (bits,) = (
            struct.unpack_from(order + "q", head, 168),
            struct.unpack_from(order + "h", head, 14),
        )
    else:
        (offset,), (bits,) = (
            struct.unpack_from(order + "f", head, 108),
            struct.unpack_from(order + "h", head, 72),
        )
    return int(offset) + pixels * int(bits) // 8


def _index(path: Path, size: list[int], wanted: int | None) -> int:
    slices = size[2] if len(size) > 2 else 1
    if wanted is None and slices > 1:
        raise UnreadableImageError(path.name, SEVERAL, f"it holds {slices}; choose one, counting from 1")
    if wanted is not None and not 1 <= wanted <= slices:
        raise UnreadableImageError(path.name, "no such frame", f"frame {wanted} of {slices}, counting from 1")
    return (wanted or 1) - 1


def upright(plane: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The slice turned and mirrored to how a viewer shows it: front or head up, patient's right at left.

    Args:
        plane: (second axis, first axis), as the file stores it.
        directions: (3, 3); column k is where the file's axis k runs, in LPS.
    """
    out = int(np.abs(directions[:, 2]).argmax())
    across, down = _SCREEN[out]
    first = int(np.abs(np.where(np.arange(3) == out, 0, directions[:, 0])).argmax())
    if first == across[0]:
        column_axis, row_axis = 0, 1
    else:
        plane, column_axis, row_axis = plane.T, 1, 0
    if directions[across[0], column_axis] * across[1] < 0:
        plane = plane[:, ::-1]
    if directions[down[0], row_axis] * down[1] < 0:
        plane = plane[::-1]
    return np.ascontiguousarray(plane)
