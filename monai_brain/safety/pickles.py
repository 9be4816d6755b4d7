"""What a file of weights would import when it is loaded, read from its pickle without loading it."""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO

LARGEST_PICKLE = 64 * 2**20
_ENDINGS = (
    ".pt",
    ".pth",
    ".ckpt",
    ".bin",
    ".pkl",
    ".pickle",
    ".joblib",
    ".dat",
    ".npy",
    ".npz",
    ".ts",
    ".pt2",
)
# What a flat state_dict of tensors names, and no more.
_PLAIN = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor|tensor_v2|parameter)|torch\.storage _\w*Storage"
    r"|torch \w+(Storage|Tensor)|torch Size|torch (bfloat16|float\d+|u?int\d+|bool)|_codecs encode"
)


def foreign(path: Path) -> list[str]:
    """What the file's pickles name beyond plain tensors, in words; empty for a file that holds none.

    Files that are no pickles and no archives of them give nothing.
    """
    if path.suffix.lower() not in _ENDINGS or not path.is_file():
        return []
    try:
        if zipfile.is_zipfile(path):
            return _in_archive(path)
        with path.open("rb") as stream:
            head = stream.read(8)
            stream.seek(0)
            if head.startswith(b"\x93NUMPY"):
                return _in_array(stream)
            # Protocol 2 and later begin so; torch's old format is a row of such pickles.
            if head[:1] == b"\x80" or path.suffix.lower() in (".pkl", ".pickle"):
                return _named(stream)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        return [f"cannot be read: {error}"]
    return []


def _in_archive(path: Path) -> list[str]:
    found: list[str] = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if "/code/" in f"/{member.filename}" and member.filename.endswith(".py"):
                return ["TorchScript: a program, of which nothing here is run"]
            if member.filename.endswith(".pkl"):
                if member.file_size > LARGEST_PICKLE:
                    return [f"{member.filename} of {member.file_size} bytes, too long to be read"]
                with archive.open(member) as stream:
                    found += _named(stream)
            elif member.filename.endswith(".npy"):
                with archive.open(member) as stream:
                    found += _in_array(stream)
    return found


def _in_array(stream: IO[bytes]) -> list[str]:
    """NumPy pickles arrays of Python objects; their header says so."""
    header = stream.read(1024)
    return ["a pickle in an array of objects"] if re.search(rb"'descr':\s*'\|?O", header) else []


def _named(stream: IO[bytes]) -> list[str]:
    """Each name that a row of pickles imports and a plain state_dict does not."""
    found: dict[str, None] = {}
    for _ in range(16):  # torch's old format: magic number, protocol, system, content, keys
        texts: list[str] = []
        try:
            for opcode, argument, _place in pickletools.genops(stream):
                if opcode.name in ("GLOBAL", "INST"):
                    found[str(argument)] = None
                elif opcode.name == "STACK_GLOBAL":
                    found[" ".join(texts[-2:])] = None
                elif opcode.name in ("EXT1", "EXT2", "EXT4"):
                    found[f"extension {argument}"] = None
                elif isinstance(argument, str):
                    texts.append(argument)
        except Exception:  # noqa: BLE001  pickletools raises whatever a damaged file leads it to
            break
    return [f"names {name.replace(' ', '.')}" for name in found if not _PLAIN.fullmatch(name)]
