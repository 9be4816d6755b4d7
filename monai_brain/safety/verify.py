"""An account of a bundle: what it would run, load and reach, read without running any of it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.errors import ConfigurationError, MonaiBrainError
from monai_brain.files import read_json
from monai_brain.registry import bundle as find
from monai_brain.registry import registry
from monai_brain.safety import code, pickles, trust, zips

LARGE = 25 * 2**20
# Packages whose names in a _target_ are those of libraries; what they are told to do is still the bundle's.
LIBRARIES = (
    "ignite",
    "monai",
    "monai_brain",
    "monai_brain_plugins",
    "numpy",
    "sklearn",
    "torch",
    "torchvision",
)


@dataclass
class Account:
    """What was found in a bundle.

    Attributes:
        what: The name or path that was given.
        name: The model's name.
        trusted: Why it may run, or None: only after --trust.
        digest: The SHA-256 of its code, by which trust is recorded.
        files: How many files it holds.
        size: Their bytes.
        targets: Names that recipes call from outside the allowed packages.
        expressions: `$` expressions that no installed model has, and other texts that run or import code.
        sources: Files that a program could import or run.
        pickles: Files that would import more than tensors when they are loaded.
        escapes: Links and paths that lead out of the folder.
        refused: What makes it unfit to be run or installed, whoever trusts it.
        notes: What it lacks or holds beside.
    """

    what: str
    name: str = ""
    trusted: str | None = None
    digest: str | None = None
    files: int = 0
    size: int = 0
    targets: list[str] = field(default_factory=list)
    expressions: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    pickles: list[str] = field(default_factory=list)
    escapes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(model: str | os.PathLike[str]) -> Account:
    """The account of a registered name, a bundle folder, a run folder or a zip.

    A zip is looked through, unpacked into a temporary folder if nothing speaks against that, and read there.

    Raises:
        UnknownNameError: There is no such model.
        ConfigurationError: It is no bundle.
    """
    path = Path(model)
    if not path.is_file():
        return of(find(model), str(model))
    wrong = zips.faults(path)
    if wrong:
        return Account(str(model), refused=wrong)
    with zips.unpacked(path) as folder:
        return of(Bundle.at(folder), str(model))


def of(bundle: Bundle, what: str) -> Account:
    """The account of a bundle's folder."""
    root = bundle.root
    account = Account(what, digest=code.digest(root))
    _facts(bundle, account)
    account.trusted = trust.reason(bundle) if not account.refused else None
    allowed = {*LIBRARIES, *(module.partition(".")[0] for module in registry().plugins.values())}
    account.targets = [
        _line(piece)
        for piece in code.recipes(root)
        if piece.kind == "target" and not _is_allowed(piece.text, allowed)
    ]
    account.expressions = [
        _line(piece) for piece in trust.outside(bundle) if piece.kind not in ("target", "unreadable")
    ]
    account.sources = [piece.where for piece in code.sources(root)]
    account.refused += [
        f"{piece.where} cannot be read as JSON that says one thing only"
        for piece in code.recipes(root)
        if piece.kind == "unreadable"
    ]
    for file in code.files(root):
        _look(file, root, account)
    account.escapes += _paths(root)
    account.notes += _lacks(bundle)
    if account.refused:
        account.trusted = None
    return account


def _facts(bundle: Bundle, account: Account) -> None:
    """Whether the metadata can be read at all, and describe what this package can run."""
    try:
        account.name = bundle.name
        _ = bundle.labels
    except MonaiBrainError as error:
        account.refused.append(f"configs/metadata.json: {error}")
        return
    try:
        _ = bundle.input_shape
    except ConfigurationError as error:
        account.notes.append(str(error))


def _is_allowed(target: str, allowed: set[str]) -> bool:
    # MONAI looks a bare name up among its own.
    return "." not in target or target.partition(".")[0] in allowed


def _look(file: Path, root: Path, account: Account) -> None:
    name, status = file.relative_to(root).as_posix(), file.lstat()
    account.files += 1
    if stat.S_ISLNK(status.st_mode):
        if not file.resolve().is_relative_to(root):
            account.escapes.append(f"{name} is a link to {file.readlink()}")
        return
    if not stat.S_ISREG(status.st_mode):
        account.refused.append(f"{name} is no regular file")
        return
    account.size += status.st_size
    if status.st_size > LARGE:
        account.notes.append(f"{name} has {status.st_size / 2**20:.0f} MB")
    account.pickles += [f"{name}: {found}" for found in pickles.foreign(file)]


def _paths(root: Path) -> Iterator[str]:
    """Plain texts of the recipes that are paths out of the folder."""
    for path in sorted((root / "configs").glob("*.json")):
        if path.name == "metadata.json" or not path.is_file() or path.stat().st_size > code.LARGEST_CONFIG:
            continue
        try:
            content = read_json(path)
        except ConfigurationError:
            continue  # named as unreadable already
        for where, text in _texts(content):
            if re.match(r"/|~|[A-Za-z]:[\\/]", text) or ".." in re.split(r"[\\/]", text):
                yield f"configs/{path.name} {where}: {text[:120]}"


def _texts(content: object) -> Iterator[tuple[str, str]]:
    ahead: list[tuple[str, object]] = [("", content)]
    while ahead:
        where, value = ahead.pop()
        if isinstance(value, dict):
            ahead += [(f"{where}#{key}" if where else str(key), below) for key, below in value.items()]
        elif isinstance(value, list):
            ahead += [(f"{where}#{index}", below) for index, below in enumerate(value)]
        elif isinstance(value, str) and not value.startswith(("$", "@", "%")):
            yield where, value


def _lacks(bundle: Bundle) -> Iterator[str]:
    """What of a bundle's usual files is not there."""
    root = bundle.root
    for name in ("configs/inference.json", "configs/train.json", "LICENSE", "docs/README.md"):
        if not (root / name).is_file():
            other = [path.name for path in (root / "configs").glob(f"{Path(name).stem}.y*ml")]
            aside = f"; {other[0]} is not read here: write it as JSON" if other else ""
            yield f"lacks {name}{aside}"
    if not (root / WEIGHTS_FILE).is_file():
        listed = ", listed in large_files.yml" if (root / "large_files.yml").is_file() else ""
        yield f"lacks {WEIGHTS_FILE}{listed}"
    if "monai_brain" not in bundle.metadata:
        yield "its metadata has nothing under monai_brain: the checks will name what is missing"


def _line(piece: code.Code) -> str:
    return f"{piece.where}: {' '.join(piece.text.split())[:160]}"
