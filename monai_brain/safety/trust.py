"""The one gate between reading a bundle and running it.

A bundle may run if an installed package registers it, if all code that it names stands word for word in such
bundles, or if the user has trusted exactly the code that it names and holds. Nothing else runs.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib.util
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from monai_brain.bundles import Bundle
from monai_brain.errors import ModelError, OutputError
from monai_brain.files import write_json
from monai_brain.home import home
from monai_brain.registry import INSTALLED, registry
from monai_brain.requirement import check_requirement
from monai_brain.safety import code

_OWN = ("monai_brain", "monai_brain_bundles")  # packages whose bundles are installed code, registered or not
# What our own code writes into the recipes of runs and cross-validations beside what it found there.
_WRITTEN = frozenset(
    {
        ("expression", "$@train#dataset#data[:1]"),
        ("target", "monai_brain.inference.ensemble.AveragedNetworks"),
    }
)
_given: list[bool] = []  # a stack: whether the user said --trust
_in_this_process: set[str] = set()  # digests, for where nothing can be recorded


class TrustError(ModelError):
    """A bundle that names code which nobody has trusted yet. Nothing of it was run."""


@contextlib.contextmanager
def given() -> Iterator[None]:
    """Within the block the user trusts what is run, and that is recorded: --trust."""
    _given.append(True)
    try:
        yield
    finally:
        _given.pop()


def admit(bundle: Bundle, further: Sequence[Path] = ()) -> None:
    """Let a bundle pass that may run; everything that evaluates a recipe asks here first.

    Args:
        bundle: the model.
        further: recipes from elsewhere that the user named to be laid over the bundle's.

    Raises:
        TrustError: It names code that is neither installed nor trusted.
        ConfigurationError: It is made for another version of monai_brain, or a config cannot be read.
    """
    check_requirement(bundle.facts.get("requires_monai_brain"), bundle.name)
    if reason(bundle) is None:
        foreign = outside(bundle)
        for piece in foreign:
            if piece.kind == "unreadable":
                code.check(bundle.root / piece.where)
        if not _given:
            raise _refused(str(bundle.root), foreign)
        record(bundle)
    known = _known() if further else set()
    for path in further:
        foreign = [piece for piece in code.read(path, str(path)) if piece.key not in known]
        found = code.digest_of(foreign)
        if not foreign or found in _in_this_process or _recorded(found) is not None:
            continue
        if not _given:
            raise _refused(str(path), foreign)
        _record(found, bundle.name, str(path))


def _refused(what: str, foreign: Sequence[code.Code]) -> TrustError:
    first = foreign[0]
    return TrustError(
        f"{what} names code that is not installed: {counted(foreign)}, first {first.text[:120]!r} in "
        f"{first.where}. Nothing of it was run. `monai-brain verify` reads a bundle without running it; if "
        "you trust this code, say --trust, which is recorded."
    )


def reason(bundle: Bundle) -> str | None:
    """Why a bundle may run, in words, or None where nobody has trusted it."""
    plugin = registered_by(bundle)
    if plugin is not None:
        return f"pip-installed code counts as trusted: it is registered by {plugin}"
    if not outside(bundle):
        return "all code that it names stands word for word in installed models"
    found = code.digest(bundle.root)
    if found in _in_this_process:
        return "it was trusted in this process"
    said = _recorded(found)
    return f"its code was trusted {said}" if said is not None else None


def registered_by(bundle: Bundle) -> str | None:
    """The plugin's module that registers exactly this folder, or None."""
    if any(bundle.root.is_relative_to(place) for place in _own_places()):
        return "monai_brain itself"
    for name, known in registry().bundles.items():
        source = registry().sources.get(name)
        if known.root == bundle.root and source != INSTALLED:
            return source
    return None


def outside(bundle: Bundle) -> list[code.Code]:
    """The code that a bundle's configs name and no bundle of an installed package does."""
    known = _known()
    return [piece for piece in code.recipes(bundle.root) if piece.key not in known]


def record(bundle: Bundle, origin: str | None = None) -> str:
    """Trust the code that a bundle names and holds, here and wherever it is copied; gives its digest.

    Raises:
        OutputError: MONAI_BRAIN_HOME cannot be written; this process trusts it all the same.
    """
    found = code.digest(bundle.root)
    _record(found, bundle.name, origin or str(bundle.root))
    return found


def _record(found: str, model: str, origin: str) -> None:
    _in_this_process.add(found)
    if not _file(found).is_file():
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        write_json(_file(found), {"schema_version": 1, "model": model, "from": origin, "on": today})


@contextlib.contextmanager
def admitted(bundle: Bundle) -> Iterator[None]:
    """Within the block the bundle runs as it stands, unrecorded: it was made of what the user named."""
    found = code.digest(bundle.root)
    new = found not in _in_this_process
    _in_this_process.add(found)
    try:
        yield
    finally:
        if new:
            _in_this_process.discard(found)


def record_made_here(bundle: Bundle) -> None:
    """Trust a folder that this process has just made out of code that it ran."""
    if outside(bundle):
        with contextlib.suppress(OutputError):  # a home that cannot be written costs a question later
            record(bundle, "made here")


def forget(bundle: Bundle) -> None:
    """Take back the trust in a bundle's code."""
    found = code.digest(bundle.root)
    _in_this_process.discard(found)
    _file(found).unlink(missing_ok=True)


def counted(pieces: Iterable[code.Code]) -> str:
    """How many of each kind: "2 expressions, 1 target"."""
    kinds: dict[str, int] = {}
    for piece in pieces:
        kinds[piece.kind] = kinds.get(piece.kind, 0) + 1
    plural = {"logging": "changed logging.conf", "unreadable": "config that cannot be read"}
    return ", ".join(
        f"{count} {plural.get(kind, kind)}{'s' if count > 1 and kind not in plural else ''}"
        for kind, count in kinds.items()
    )


def _known() -> set[tuple[str, str]]:
    """All code that the bundles of installed packages name."""
    known = set(_WRITTEN)
    roots = {
        bundle.root
        for name, bundle in registry().bundles.items()
        if registry().sources.get(name) != INSTALLED
    }
    for place in _own_places():
        roots |= {path.parents[1] for path in place.glob("*/configs/metadata.json")}
        roots |= {path.parents[1] for path in place.glob("testing/*/configs/metadata.json")}
    for root in roots:
        known |= {piece.key for piece in code.recipes(root) if piece.kind != "unreadable"}
    return known


@functools.cache
def _own_places() -> tuple[Path, ...]:
    """The folders of our own installed packages, found without importing them."""
    specs = [importlib.util.find_spec(name) for name in _OWN]
    return tuple(
        Path(place).resolve() for spec in specs if spec for place in spec.submodule_search_locations or ()
    )


def _file(found: str) -> Path:
    return home() / "trust" / f"{found}.json"


def _recorded(found: str) -> str | None:
    try:
        content = json.loads(_file(found).read_text(encoding="utf-8"))
        return f"on {content['on']} ({content['from']})"
    except (OSError, ValueError, KeyError, TypeError):
        return None
