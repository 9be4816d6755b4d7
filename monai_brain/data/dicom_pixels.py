"""The stored pixels of one DICOM frame, decoded, and the tables and windows that lie over them."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data.raster import jpeg_header
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
# ITK's GDCM decodes these without a further package.
_BY_ITK = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (51, 57, 70, 80, 81))
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_DESCRIPTION = (
    *("Rows", "Columns", "SamplesPerPixel", "PlanarConfiguration", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)


def stored(path: Path, dataset: Any, index: int, frames: int) -> np.ndarray:
    """The pixels of a frame as they are stored, (H, W) or (H, W, 3)."""
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in _BY_ITK and not _decodable(syntax):
        return _decoded_by_itk(path, dataset, index, frames)
    try:
        return _decoded(dataset, index, frames)
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


def _decoded_by_itk(path: Path, dataset: Any, index: int, frames: int) -> np.ndarray:
    """The stored values of a frame. ITK serves as a codec only, on a file of the pixels and nothing else.

    On the file itself it would apply slope and intercept and turn MONOCHROME1 over, each by its own rules.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    try:
        import itk
    except ImportError as error:
        raise _why(path, syntax, error, missing=True) from error
    try:
        frame = _frame(dataset, index, frames)
        # GDCM believes every length and size that it meets, and asks for gigabytes: check them here.
        claimed = jpeg_header(path, frame)
        if (claimed.height, claimed.width) != (int(dataset.Rows), int(dataset.Columns)):
            raise UnreadableImageError(path.name, "damaged", "the pixels' size is not that of the header")
        with tempfile.TemporaryDirectory() as folder:
            bare = Path(folder) / "pixels.dcm"
            _write_bare(bare, dataset, syntax, frame)
            image = itk.imread(str(bare), imageio=itk.GDCMImageIO.New())
            pixels = np.array(itk.array_view_from_image(image))
    except UnreadableImageError:
        raise
    except Exception as error:  # ITK raises RuntimeError with a page of its own
        raise UnreadableImageError(path.name, "damaged", "the pixels cannot be decoded by ITK") from error
    colours = () if int(dataset.get("SamplesPerPixel") or 1) == 1 else (3,)
    return pixels.reshape(int(dataset.Rows), int(dataset.Columns), *colours)


def _frame(dataset: Any, index: int, frames: int) -> bytes:
    """The compressed bytes of one frame, its fragments put together."""
    try:
        from pydicom.encaps import get_frame
    except ImportError:  # pydicom 2
        from pydicom.encaps import generate_pixel_data_frame

        return bytes(
            next(itertools.islice(generate_pixel_data_frame(dataset.PixelData, frames), index, None))
        )
    return bytes(get_frame(dataset.PixelData, index, number_of_frames=frames))


def _write_bare(path: Path, dataset: Any, syntax: str, frame: bytes) -> None:
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    bare = Dataset()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID = _SECONDARY_CAPTURE
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID = "1.2.3"
    bare.file_meta.TransferSyntaxUID = UID(syntax)
    for keyword in _DESCRIPTION:
        if keyword in dataset:
            setattr(bare, keyword, dataset[keyword].value)
    if str(dataset.PhotometricInterpretation).startswith("MONOCHROME"):
        bare.PhotometricInterpretation = "MONOCHROME2"
    bare.PixelData = encapsulate([frame])
    bare["PixelData"].VR, bare["PixelData"].is_undefined_length = "OB", True
    if int(pydicom.__version__.split(".")[0]) < 3:
        bare.is_little_endian, bare.is_implicit_VR = True, False
        pydicom.dcmwrite(str(path), bare, write_like_original=False)
    else:
        pydicom.dcmwrite(path, bare, enforce_file_format=True)


def _why(path: Path, syntax: str, error: Exception, missing: bool = False) -> UnreadableImageError:
    from pydicom.uid import UID

    name = UID(syntax).name
    if missing or (syntax in _CODECS and not _decodable(syntax)):
        return UnreadableImageError(path.name, "no codec", f"{name}: pip install {_CODECS[syntax]}")
    if name == syntax:
        return UnreadableImageError(path.name, "unsupported", f"unknown transfer syntax {syntax[:64]}")
    kind = type(error).__name__
    return UnreadableImageError(path.name, "damaged", f"the pixels ({name}) cannot be decoded ({kind})")
