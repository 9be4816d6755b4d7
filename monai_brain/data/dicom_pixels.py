"""The stored pixels of one DICOM frame, decoded, and the tables and windows that lie over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data.slices import UnreadableImageError, luminance

# What pip brings for each compressed transfer syntax, after pydicom alone has failed.
_LIBJPEG = "itk, or pylibjpeg pylibjpeg-libjpeg (GPLv3)"
_CODECS = {
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": _LIBJPEG,
    "1.2.840.10008.1.2.4.57": _LIBJPEG,
    "1.2.840.10008.1.2.4.70": _LIBJPEG,
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.202": "pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg pylibjpeg-openjpeg",
}
# ITK's GDCM decodes these without a further package; it has applied slope and intercept by then.
_BY_ITK = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (51, 57, 70, 80, 81))


def stored(path: Path, dataset: Any, index: int, frames: int) -> tuple[np.ndarray, bool]:
    """The pixels of a frame, (H, W) or (H, W, 3), and whether slope and intercept are in them."""
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in _BY_ITK and not _decodable(syntax):
        return _decoded_by_itk(path, index), True
    try:
        return _decoded(dataset, index, frames), False
    except Exception as error:  # decoders raise whatever they trip over
        raise _why(path, syntax, error) from error


def grey(dataset: Any, pixels: np.ndarray) -> np.ndarray:
    """The luminance of a colour frame, whatever the colour space; others as they are."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours = _processing().apply_color_lut(pixels, dataset)
        return luminance(np.ascontiguousarray(colours), "RGB")
    return luminance(np.ascontiguousarray(pixels), "RGB") if pixels.ndim == 3 else pixels


def rescaled(path: Path, dataset: Any, pixels: np.ndarray) -> np.ndarray:
    """The values after the modality LUT, or after slope and intercept."""
    if dataset.get("ModalityLUTSequence"):
        return np.asarray(_processing().apply_modality_lut(pixels, dataset))
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    if dataset.get("RescaleSlope") is not None and float(dataset.RescaleSlope) == 0:
        raise UnreadableImageError(path.name, "no contrast", "RescaleSlope is 0")
    if not np.isfinite([slope, intercept]).all():
        raise UnreadableImageError(path.name, "damaged", "RescaleSlope or RescaleIntercept is no number")
    if (slope, intercept) == (1.0, 0.0):
        return pixels
    return pixels.astype(np.float64) * slope + intercept


def windowed(dataset: Any, values: np.ndarray) -> np.ndarray:
    """The values after the VOI LUT, else after the first window, else as they are."""
    if not dataset.get("VOILUTSequence") and dataset.get("WindowCenter") is None:
        return values
    if values.dtype.kind == "f" and np.array_equal(values, np.rint(values)):
        values = values.astype(np.int32)  # a table is entered with whole numbers
    return np.asarray(_processing().apply_voi_lut(values, dataset, index=0))


def inverted(values: np.ndarray) -> np.ndarray:
    """The values with dark and bright changed over, in the same range; 8 bits within 0..255."""
    if values.dtype == np.uint8:
        return 255 - values
    wide = values.astype(np.int64 if values.dtype.kind in "iu" else np.float64)
    return (wide.min() + wide.max() - wide).astype(values.dtype)


def _decoded(dataset: Any, index: int, frames: int) -> np.ndarray:
    try:
        from pydicom.pixels import pixel_array
    except ImportError:  # pydicom 2
        from pydicom.pixel_data_handlers.util import convert_color_space

        pixels = np.asarray(dataset.pixel_array)
        pixels = pixels[index] if frames > 1 else pixels
        space = dataset.PhotometricInterpretation
        if pixels.ndim == 3 and space in ("YBR_FULL", "YBR_FULL_422"):
            return np.asarray(convert_color_space(pixels, space, "RGB"))
        return pixels
    return np.asarray(pixel_array(dataset, index=index))


def _processing() -> Any:
    try:
        from pydicom import pixels
    except ImportError:  # pydicom 2
        from pydicom.pixel_data_handlers import util as pixels
    return pixels


def _decodable(syntax: str) -> bool:
    try:
        from pydicom.pixels import get_decoder
    except ImportError:  # pydicom 2
        from pydicom import config

        return any(
            handler.is_available() and handler.supports_transfer_syntax(syntax)
            for handler in config.pixel_data_handlers
        )
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _decoded_by_itk(path: Path, index: int) -> np.ndarray:
    try:
        import itk
    except ImportError as error:
        raise _why(path, "1.2.840.10008.1.2.4.70", error, missing=True) from error
    try:
        image = itk.imread(str(path), imageio=itk.GDCMImageIO.New())
    except Exception as error:
        raise UnreadableImageError(path.name, "damaged", "the pixels cannot be decoded by ITK") from error
    pixels = np.array(itk.array_view_from_image(image))
    return pixels[index] if pixels.ndim > 2 else pixels


def _why(path: Path, syntax: str, error: Exception, missing: bool = False) -> UnreadableImageError:
    from pydicom.uid import UID

    name = UID(syntax).name
    if missing or (syntax in _CODECS and not _decodable(syntax)):
        return UnreadableImageError(path.name, "no codec", f"{name}: pip install {_CODECS[syntax]}")
    if name == syntax:
        return UnreadableImageError(path.name, "unsupported", f"unknown transfer syntax {syntax[:64]}")
    kind = type(error).__name__
    return UnreadableImageError(path.name, "damaged", f"the pixels ({name}) cannot be decoded ({kind})")
