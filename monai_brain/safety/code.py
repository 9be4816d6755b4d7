"""What code a bundle's folder names, found by reading alone: no expression is evaluated, no target imported.

A recipe runs code in more ways than one. An expression begins with `$`. A `_target_` is called. A macro (`%`)
takes in another file. Some components import what a plain text names: MONAI's LoadImage calls any dotted
`reader`. All of these are code here, and so is logging.conf, of which the standard library evaluates parts.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from monai_brain.errors import ConfigurationError
from monai_brain.files import read_json, sha256

Kind = Literal["expression", "target", "name", "macro", "logging", "unreadable", "source"]

LARGEST_CONFIG = 16 * 2**20
SOURCES = (".py", ".pyc", ".pyd", ".so", ".dylib", ".dll", ".sh", ".bat", ".ps1", ".exe")
# Texts that look like dotted names and are names of data.
_DATA = (
    *(
        "bin",
        "conf",
        "csv",
        "dcm",
        "gz",
        "h5",
        "jpeg",
        "jpg",
        "json",
        "jsonl",
        "log",
        "md",
        "nii",
        "npy",
        "npz",
    ),
    *("onnx", "parquet", "pdf", "png", "pt", "pt2", "pth", "tif", "tiff", "ts", "txt", "yaml", "yml", "zip"),
)
# Functions that need no import to do harm; most others (sum, max) are words of recipes too.
_BUILTIN = (
    *(
        "__import__",
        "breakpoint",
        "compile",
        "delattr",
        "eval",
        "exec",
        "exit",
        "getattr",
        "globals",
        "input",
    ),
    *("open", "quit", "setattr", "vars"),
)
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_META = "metadata.json"


@dataclass(frozen=True)
class Code:
    """One piece of code that a bundle names.

    Attributes:
        kind: expression, target, name (a text that some component may import), macro, logging,
            unreadable (a config that cannot be read), or source (a file that a program may import).
        text: The piece itself; of files their path and SHA-256.
        where: The file and MONAI's id in it.
    """

    kind: Kind
    text: str
    where: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes two pieces the same code, wherever they stand."""
        return self.kind, self.text


def recipes(root: Path) -> list[Code]:
    """The code that the configs of a bundle name."""
    found: list[Code] = []
    folder = root / "configs"
    for path in sorted(folder.glob("*.json")):
        found += read(path, f"configs/{path.name}")
    conf = folder / "logging.conf"
    if os.path.lexists(conf):
        found.append(Code("logging", f"logging.conf {_hash(conf)}", "configs/logging.conf"))
    return found


def sources(root: Path) -> list[Code]:
    """The files of a bundle that a program could import or run, with their hashes, and YAML configs."""
    found = []
    for path in files(root):
        name = path.relative_to(root).as_posix()
        yaml = path.suffix.lower() in (".yaml", ".yml") and name.startswith("configs/")
        if path.suffix.lower() in SOURCES or yaml:
            found.append(Code("source", f"{name} {_hash(path)}", name))
    return found


def digest(root: Path) -> str:
    """The SHA-256 of all code that the bundle names or holds.

    Numbers, sizes, plain texts, documents and weights are not in it: changing the learning rate of a
    trusted recipe asks for no new trust, changing one letter of an expression does.
    """
    return digest_of([*recipes(root), *sources(root)])


def digest_of(code: Iterable[Code]) -> str:
    """The SHA-256 of pieces of code, whatever their order and places."""
    pieces = sorted({piece.key for piece in code})
    return hashlib.sha256(repr(pieces).encode()).hexdigest()


def files(root: Path) -> Iterator[Path]:
    """Every entry of the folder that is no folder, without following a link to one."""
    for folder, below, names in os.walk(root, followlinks=False):
        below[:] = sorted(name for name in below if name not in ("__pycache__", ".git"))
        here = Path(folder)
        yield from (here / name for name in below if (here / name).is_symlink())
        yield from (here / name for name in sorted(names))


def read(path: Path, name: str) -> list[Code]:
    """The code that one config names.

    One that cannot be read is a piece of code itself: nobody knows what is in it.
    """
    try:
        content = check(path)
    except ConfigurationError:
        return [Code("unreadable", f"{name} {_hash(path)}", name)]
    if path.name == _META:
        return [piece for piece in _walk(content, name, {}) if piece.kind != "name"] + [
            piece for piece in _walk(_variants(content), f"{name} variants", {}) if piece.kind == "name"
        ]
    return list(_walk(content, name, content if isinstance(content, dict) else {}))


def check(path: Path) -> Any:
    """The content of a config.

    Raises:
        ConfigurationError: It cannot be read, or says a thing in two ways.
    """
    # A pipe would block for ever, a device never end, and one enormous file use up the memory.
    if not path.is_file():
        raise ConfigurationError(f"{path} is no regular file.")
    if path.stat().st_size > LARGEST_CONFIG:
        raise ConfigurationError(f"{path} has more than {LARGEST_CONFIG // 2**20} MB, which is no config.")
    return read_json(path)


def _variants(metadata: Any) -> Any:
    """The part of the metadata that is laid over recipes."""
    facts = metadata.get("monai_brain") if isinstance(metadata, dict) else None
    return facts.get("variants", {}) if isinstance(facts, dict) else {}


def _walk(content: Any, file: str, top: dict[str, Any]) -> Iterator[Code]:
    """Every piece of code in a parsed config. The stack is our own: a file may be nested very deeply."""
    ahead: list[tuple[str, str, Any]] = [("", "", content)]
    while ahead:
        where, last, value = ahead.pop()
        if isinstance(value, dict):
            for key, below in reversed(value.items()):
                # `a#_target_` and `a::_target_` are keys that reach down into what they overlay.
                leaf = re.split(r"#|::", str(key))[-1]
                ahead.append((f"{where}#{key}" if where else str(key), leaf, below))
        elif isinstance(value, list):
            ahead += [(f"{where}#{index}", last, below) for index, below in reversed([*enumerate(value)])]
        elif isinstance(value, str):
            kind = _kind(value, last)
            if kind is not None:
                yield Code(kind, value.replace("::", "#"), f"{file} {where}")


def _kind(text: str, key: str) -> Kind | None:
    if key == "_target_":
        return "target"
    if text.startswith("$"):
        return None if _is_literal(text[1:]) else "expression"
    if text.startswith("%"):
        return "macro" if re.search(r"\.(json|ya?ml)\b", text, re.IGNORECASE) else None
    if text.startswith("@"):
        # Free texts of the metadata are no code until a recipe takes them for something else.
        return "name" if "_meta_" in text else None
    return "name" if _names_code(text) else None


def _names_code(text: str) -> bool:
    """Whether pydoc.locate, by which MONAI finds readers and targets, could find code by this text."""
    if _DOTTED.fullmatch(text):
        return text.rpartition(".")[2].lower() not in _DATA
    return text in _BUILTIN or text.lower().endswith("reader")


def _is_literal(expression: str) -> bool:
    """Whether an expression is a plain value, such as None or [1, 2]."""
    try:
        ast.literal_eval(expression.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def _hash(path: Path) -> str:
    if not path.is_file():
        return "no regular file"
    try:
        return sha256(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"
