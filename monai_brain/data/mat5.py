"""MATLAB files of versions 5 to 7, as far as data sets of images need them.

Read here byte by byte, with every length checked: SciPy's compiled reader trusts what the file says
of itself, and a damaged file can end the whole process there.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from monai_brain.data.slices import MAX_PIXELS

_HEADER = 128
_COMPRESSED, _MATRIX = 15, 14
_INT8, _INT32, _UINT32 = 1, 5, 6
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_STRUCT, _CHAR = 2, 4
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX = 0x0800
_MOST_BYTES = 16 * MAX_PIXELS
_MOST_AXES = 8

Element = tuple[int, memoryview]


@dataclass(frozen=True)
class Matrix:
    """One array of a file, not yet decoded.

    Attributes:
        order: "<" or ">", the order of the bytes.
        flags: MATLAB's class in the lowest byte, what else there is to know above it.
        shape: Its axes.
        parts: What follows the name.
    """

    order: str
    flags: int
    shape: tuple[int, ...]
    parts: tuple[Element, ...]

    def array(self) -> np.ndarray | str:
        """The numbers in their class's type, or the text.

        Raises:
            ValueError: It is neither, or its length is not what it claims.
        """
        kind = self.flags & 0xFF
        if not self.parts:
            raise ValueError("no content")
        stored, content = self.parts[0]
        if kind == _CHAR:
            return _text(stored, content, self.order)
        if kind not in _CLASSES or stored not in _NUMBERS or self.flags & _COMPLEX:
            raise ValueError(f"class {kind} is not read")
        numbers = np.frombuffer(content, self.order + _NUMBERS[stored])
        if numbers.size != math.prod(self.shape):
            raise ValueError("a length is wrong")
        return numbers.astype(_CLASSES[kind]).reshape(self.shape, order="F")

    def fields(self) -> dict[str, Matrix]:
        """The fields of a structure of one element.

        Raises:
            ValueError: It is no such structure.
        """
        if self.flags & 0xFF != _STRUCT or math.prod(self.shape) != 1 or len(self.parts) < 2:
            raise ValueError("no structure")
        width = int.from_bytes(self.parts[0][1][:4], "little" if self.order == "<" else "big")
        names = bytes(self.parts[1][1])
        if width < 1 or len(names) // width > len(self.parts) - 2:
            raise ValueError("a field is missing")
        found = {}
        for number in range(len(names) // width):
            name = names[number * width : (number + 1) * width].split(b"\0")[0].decode("latin-1")
            kind, content = self.parts[2 + number]
            if kind == _MATRIX and len(content):
                found[name] = _matrix(content, self.order)[1]
        return found


def variables(path: Path, wanted: str) -> Mapping[str, Matrix]:
    """The file's arrays by name, up to and with the one that is wanted.

    Raises:
        ValueError: The file is damaged.
    """
    content = path.read_bytes()
    if len(content) < _HEADER or content[126:128] not in (b"IM", b"MI"):
        raise ValueError("the header is cut off")
    order = "<" if content[126:128] == b"IM" else ">"
    found = {}
    for kind, part in _elements(memoryview(content)[_HEADER:], order):
        inner = [(kind, part)]
        if kind == _COMPRESSED:
            inner = list(_elements(memoryview(_unpacked(part)), order))
        for what, body in inner:
            if what == _MATRIX:
                name, matrix = _matrix(body, order)
                found[name] = matrix
        if wanted in found:
            break
    return found


def _elements(view: memoryview, order: str) -> Iterator[Element]:
    ends: Literal["little", "big"] = "little" if order == "<" else "big"
    place = 0
    while place + 8 <= len(view):
        first = int.from_bytes(view[place : place + 4], ends)
        if first >> 16:  # a short element: type, length and content in eight bytes
            kind, length, start, step = first & 0xFFFF, first >> 16, place + 4, 8
        else:
            kind, length = first, int.from_bytes(view[place + 4 : place + 8], ends)
            start, step = place + 8, 8 + (length if kind == _COMPRESSED else -(-length // 8) * 8)
        if start + length > len(view) or (step == 8 and start == place + 4 and length > 4):
            raise ValueError("a part is cut off")
        yield kind, view[start : start + length]
        place += step


def _unpacked(part: memoryview) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(part, _MOST_BYTES)
    if not stream.eof:
        raise ValueError("a compressed part is cut off or too large")
    return content


def _matrix(body: memoryview, order: str) -> tuple[str, Matrix]:
    parts = tuple(_elements(body, order))
    if [kind for kind, _ in parts[:3]] != [_UINT32, _INT32, _INT8] or len(parts[0][1]) < 4:
        raise ValueError("an array without its head")
    flags = int(np.frombuffer(parts[0][1][:4], f"{order}u4")[0])
    shape = tuple(int(axis) for axis in np.frombuffer(parts[1][1], f"{order}i4"))
    if not shape or len(shape) > _MOST_AXES or min(shape) < 0:
        raise ValueError("axes that make no sense")
    return bytes(parts[2][1]).decode("latin-1"), Matrix(order, flags, shape, parts[3:])


def _text(stored: int, content: memoryview, order: str) -> str:
    if stored not in _TEXTS:
        raise ValueError("text of an unknown kind")
    coding = _TEXTS[stored]
    if coding in ("utf-16", "utf-32"):
        coding += "-le" if order == "<" else "-be"
    return bytes(content).decode(coding)
