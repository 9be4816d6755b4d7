"""DICOM images as grey slices: the right values the right way up, and nothing about the person.

Only the elements named here are read from the file. Messages never repeat a value from it, because
a damaged header may hold a name anywhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data import dicom_pixels
from monai_brain.data.slices import MAX_PIXELS, SEVERAL, Options, Slice, UnreadableImageError, check_size
from monai_brain.errors import MissingExtraError

# Radiographs are made to be seen through their window or VOI LUT. An MR image's window is the taste
# of one viewer and changes from slice to slice.
WINDOWED_MODALITIES = frozenset({"MG", "CR", "DX"})
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_CODES = {
    "modality": "Modality",
    "body_part": "BodyPartExamined",
    "view_position": "ViewPosition",
    "laterality": "ImageLaterality",
    "presentation_intent": "PresentationIntentType",
    "photometric": "PhotometricInterpretation",
}
_PALETTE = tuple(
    f"{colour}PaletteColorLookupTable{what}"
    for colour in ("Red", "Green", "Blue")
    for what in ("Data", "Descriptor")
)
_TAGS = (
    *("SOPClassUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "ExtendedOffsetTable"),
    *("ExtendedOffsetTableLengths", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "BurnedInAnnotation", "PixelSpacing"),
    *("ImagerPixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *_PALETTE,
    *_CODES.values(),
    *_PIXELS,
)
_OF_A_FRAME = (
    *("PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence"),
    *("PlanePositionSequence", "PlaneOrientationSequence"),
)
_DICOMDIR = "1.2.840.10008.1.3.10"
_PROGRAMS = (b"MZ", b"\x7fELF", b"#!", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


def read_dicom(path: Path, options: Options) -> Slice:
    """The (H, W) image of a DICOM file, rows down, bright is bright, and what may be known of it.

    In this order: modality LUT or slope and intercept; for mammograms and radiographs the VOI LUT or
    the window (for all with options.voi True, for none with False); MONOCHROME1 or an inverse
    presentation LUT turned over; padding to the darkest value. 8 bits without any of these tables
    stay uint8.
    """
    with path.open("rb") as stream:
        if stream.read(4).startswith(_PROGRAMS):
            raise UnreadableImageError(path.name, "unsafe", "its preamble is the start of a program")
    dataset = _parsed(path, options.force)
    try:
        return _slice(path, dataset, options)
    except (UnreadableImageError, MissingExtraError, MemoryError):
        raise
    except Exception as error:  # damaged headers raise whatever reads them
        kind = type(error).__name__
        raise UnreadableImageError(path.name, "damaged", f"the header makes no sense ({kind})") from error


def refuse_bare(path: Path, options: Options) -> Slice:
    """A DICOM file without preamble, read only when forced."""
    if options.force:
        return read_dicom(path, options)
    raise UnreadableImageError(
        path.name, "not an image", "perhaps DICOM without its preamble; force it to try"
    )


def _parsed(path: Path, force: bool) -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtraError("pydicom", "dicom") from error
    try:
        with path.open("rb") as stream:  # a stream, because pydicom logs the paths that it is given
            dataset = pydicom.dcmread(stream, force=force, specific_tags=list(_TAGS))
        meta = dataset.file_meta
        if str(meta.get("MediaStorageSOPClassUID", "")) == _DICOMDIR:
            raise UnreadableImageError(path.name, "not an image", "a DICOMDIR lists files; name one of them")
        if meta.get("TransferSyntaxUID") is None:
            uids = pydicom.uid
            implicit = dataset.original_encoding[0] if hasattr(dataset, "original_encoding") else True
            meta.TransferSyntaxUID = uids.ImplicitVRLittleEndian if implicit else uids.ExplicitVRLittleEndian
    except UnreadableImageError:
        raise
    except Exception as error:  # damaged headers raise whatever the parser trips over
        kind = type(error).__name__
        raise UnreadableImageError(path.name, "damaged", f"the header cannot be read ({kind})") from error
    return dataset


def _slice(path: Path, dataset: Any, options: Options) -> Slice:
    index, frames = _frame(path, dataset, options.frame)
    _flatten(dataset, index)
    pixels = dicom_pixels.stored(path, dataset, index, frames)
    monochrome = str(dataset.PhotometricInterpretation).startswith("MONOCHROME")
    padding = _padding(dataset, pixels) if monochrome else None
    values = dicom_pixels.grey(dataset, pixels)
    if values.dtype == np.uint8 and int(dataset.get("BitsStored") or 8) < 8:
        values = values.astype(np.uint16)
    flipped = False
    if monochrome:
        values = dicom_pixels.rescaled(path, dataset, values)
        voi = options.voi if options.voi is not None else dataset.get("Modality") in WINDOWED_MODALITIES
        values = dicom_pixels.windowed(dataset, values) if voi else values
        flipped = dataset.get("PresentationLUTShape") == "INVERSE"
        flipped |= dataset.PhotometricInterpretation == "MONOCHROME1"
        values = _padded(values, padding, flipped)
        values = dicom_pixels.inverted(values) if flipped else values
    if values.dtype == np.float64:
        values = values.astype(np.float32)
    codes = {name: code(dataset.get(keyword)) for name, keyword in _CODES.items()}
    burned_in = dataset.get("BurnedInAnnotation") == "YES"
    affine = {"affine": _affine(dataset), "frame": index + 1}
    return values, codes | {"inverted": bool(flipped), "burned_in": bool(burned_in)} | affine


def _frame(path: Path, dataset: Any, wanted: int | None) -> tuple[int, int]:
    """The index of the wanted frame and the number of frames, after all that needs no pixels."""
    if not any(keyword in dataset for keyword in _PIXELS):
        name = getattr(dataset.get("SOPClassUID"), "name", "")
        what = (
            f"a {name} without pixels" if re.fullmatch(r"[A-Za-z0-9 /-]{4,80}", name) else "it has no pixels"
        )
        raise UnreadableImageError(path.name, "no pixels", what)
    for keyword in ("Rows", "Columns", "PhotometricInterpretation"):
        if dataset.get(keyword) is None:
            raise UnreadableImageError(path.name, "damaged", f"{keyword} is missing")
    frames = int(dataset.get("NumberOfFrames") or 1)
    check_size(path, int(dataset.Rows), int(dataset.Columns))
    check_size(path, int(dataset.Rows) * frames, int(dataset.Columns), 16 * MAX_PIXELS)
    if frames > 1 and wanted is None:
        raise UnreadableImageError(path.name, SEVERAL, f"it holds {frames}; choose one, counting from 1")
    if wanted is not None and not 1 <= wanted <= frames:
        raise UnreadableImageError(path.name, "no such frame", f"frame {wanted} of {frames}, counting from 1")
    return (wanted or 1) - 1, frames


def _flatten(dataset: Any, index: int) -> None:
    """Bring what an enhanced object says of this one frame to where older objects say it."""
    for groups, number in (
        ("SharedFunctionalGroupsSequence", 0),
        ("PerFrameFunctionalGroupsSequence", index),
    ):
        sequence = dataset.get(groups) or []
        if number < len(sequence):
            for keyword in _OF_A_FRAME:
                for item in (sequence[number].get(keyword) or [])[:1]:
                    dataset.update(item)


def _padding(dataset: Any, pixels: np.ndarray) -> np.ndarray | None:
    value = dataset.get("PixelPaddingValue")
    if value is None or isinstance(value, bytes):
        return None
    ends = sorted((int(value), int(dataset.get("PixelPaddingRangeLimit") or value)))
    return (pixels >= ends[0]) & (pixels <= ends[1])


def _padded(values: np.ndarray, padding: np.ndarray | None, flipped: bool) -> np.ndarray:
    if padding is None or not padding.any() or padding.all():
        return values
    seen = values[~padding]
    darkest = seen.max() if flipped else seen.min()
    result = values.copy()
    if values.dtype == np.uint8:  # not stretched later, so what is darker still may stay so
        result[padding] = (np.maximum if flipped else np.minimum)(values[padding], darkest)
    else:
        result[padding] = darkest
    return result


def code(value: object) -> str:
    """The value if it is a short code, which can name nobody, else ""."""
    text = str(value or "")
    return text if re.fullmatch(r"[A-Z0-9 _]{1,16}", text) else ""


def _affine(dataset: Any) -> np.ndarray:
    """From (row, column) to millimetres in RAS, MONAI's space; the identity where it is not known."""
    spacing, turn = dataset.get("PixelSpacing"), dataset.get("ImageOrientationPatient")
    origin = dataset.get("ImagePositionPatient")
    affine = np.eye(4)
    if any(value is None for value in (spacing, turn, origin)):
        return affine
    along_row, along_column = np.array(turn[:3], float), np.array(turn[3:], float)
    affine[:3, 0] = along_column * float(spacing[0])
    affine[:3, 1] = along_row * float(spacing[1])
    affine[:3, 2] = np.cross(along_row, along_column)
    affine[:3, 3] = np.array(origin, float)
    affine[:2] *= -1
    usable = np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-9
    return affine if usable else np.eye(4)
