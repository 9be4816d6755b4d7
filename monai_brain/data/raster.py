"""PNG, JPEG and the plainer picture formats as grey images, rows down, nothing clipped.

OpenCV decodes PNG and JPEG without holding the interpreter's lock, but it takes a truncated or
damaged file for a good one, shrinks 16 bits to 8 and turns by EXIF where it likes: so the file's own
structure is checked here first. Pillow does what OpenCV cannot.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from monai_brain.data.slices import Options, Slice, UnreadableImageError, check_size, luminance

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
PICTURES = (b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*", *(b"P%d" % i for i in range(1, 7)))
_PILLOW_FORMATS = ("GIF", "BMP", "TIFF", "PPM", "JPEG")
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Jpeg:
    """The header of a JPEG: its size, and where its first scan begins."""

    height: int
    width: int
    components: int
    bits: int
    exif: bytes
    scan: int


def read_png(path: Path, options: Options) -> Slice:
    """The (H, W) grey image of a PNG, uint8 or uint16 as stored; 1, 2 and 4 bits spread over 0..255."""
    content = path.read_bytes()
    exif = _check_png(path, content)
    return _turned(_grey(_decoded(path, content, cv2.IMREAD_UNCHANGED)), exif), {}


def read_jpeg(path: Path, options: Options) -> Slice:
    """The (H, W) uint8 grey image of a JPEG: its luminance component, turned as EXIF says."""
    content = path.read_bytes()
    header = jpeg_header(path, content)
    check_size(path, header.height, header.width)
    if header.bits != 8:
        raise UnreadableImageError(path.name, "unsupported", f"a JPEG of {header.bits} bits")
    # Within the scan 0xFF is always followed by a zero or a restart mark: only the end has 0xD9.
    if content.find(b"\xff\xd9", header.scan) < 0:
        raise UnreadableImageError(path.name, "truncated", "the end of the image is missing")
    if header.components == 4:
        return read_picture(path, options)
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    return _turned(_grey(_decoded(path, content, flags)), header.exif), {}


def read_picture(path: Path, options: Options) -> Slice:
    """The (H, W) grey image of a GIF, BMP, TIFF, PGM, PPM or CMYK JPEG of one frame."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(path.read_bytes()), formats=_PILLOW_FORMATS) as picture:
        check_size(path, picture.height, picture.width)
        frames = getattr(picture, "n_frames", 1)
        if frames != 1:
            raise UnreadableImageError(path.name, "several frames", f"it holds {frames}, one is expected")
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in ("L", "I", "F") or upright.mode.startswith("I;16"):
            array = np.asarray(upright)
            return array.astype(array.dtype.newbyteorder("=")), {}
        if upright.mode == "1":
            return np.asarray(upright.convert("L")), {}
        transparent = upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info
        return luminance(np.asarray(upright.convert("RGBA" if transparent else "RGB")), "RGB"), {}


def _decoded(path: Path, content: bytes, flags: int) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise UnreadableImageError(path.name, "damaged", f"the decoder says {error.err}") from error
    if image is None:
        raise UnreadableImageError(path.name, "damaged", "the pixels cannot be decoded")
    return np.asarray(image)


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else luminance(image)


def _check_png(path: Path, content: bytes) -> bytes:
    """The EXIF block, or nothing, of a PNG whose chunks are all there and all whole."""
    view, position, exif, ended = memoryview(content), len(PNG), b"", False
    while not ended:
        if position + 12 > len(content):
            raise UnreadableImageError(path.name, "truncated", "the end of the image is missing")
        length, kind = struct.unpack(">I4s", view[position : position + 8])
        end = position + 12 + length
        if end > len(content):
            raise UnreadableImageError(path.name, "truncated", "a part of the image is cut off")
        body = view[position + 8 : end - 4]
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise UnreadableImageError(path.name, "damaged", "a checksum (CRC) does not fit its part")
        if position == len(PNG):
            if kind != b"IHDR" or length != 13:
                raise UnreadableImageError(path.name, "damaged", "the PNG has no header")
            width, height = struct.unpack(">II", body[:8])
            check_size(path, height, width)
        elif kind == b"acTL" and int.from_bytes(body[:4], "big") > 1:
            raise UnreadableImageError(path.name, "several frames", "the PNG is animated")
        elif kind == b"eXIf":
            exif = bytes(body)
        position, ended = end, kind == b"IEND"
    return exif


def jpeg_header(path: Path, content: bytes) -> Jpeg:
    """What a JPEG, lossless and JPEG-LS too, says of itself before its pixels begin.

    Raises:
        UnreadableImageError: It is broken or cut off.
    """
    position, size, exif = 2, None, b""
    while position + 4 <= len(content):
        mark = content[position + 1]
        if content[position] != 0xFF:
            raise UnreadableImageError(path.name, "damaged", "the JPEG's header is broken")
        if mark == 0xFF:
            position += 1
            continue
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        body = content[position + 4 : position + 2 + length]
        if mark in _START_OF_FRAME and len(body) >= 6:
            bits, height, width, components = struct.unpack(">BHHB", body[:6])
            size = (height, width, components, bits)
        elif mark == 0xE1 and body.startswith(b"Exif\x00\x00"):
            exif = body[6:]
        elif mark == 0xDA:
            if size is None:
                raise UnreadableImageError(path.name, "damaged", "the JPEG claims no size")
            return Jpeg(*size, exif, position)
        position += 2 + length
    raise UnreadableImageError(path.name, "truncated", "the header is cut off")


def _turned(image: np.ndarray, exif: bytes) -> np.ndarray:
    """The image as its EXIF orientation says it is to be seen."""
    if not exif:
        return image
    from PIL import Image

    tags = Image.Exif()
    tags.load(exif)
    orientation = tags.get(_EXIF_ORIENTATION, 1)
    if orientation in (5, 6, 7, 8):
        image = image.T
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
