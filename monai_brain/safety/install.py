"""Bundles that are listed without a package: brought, read, trusted, and put where the registry looks."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from monai_brain import registry
from monai_brain.bundles import FOLDER_SUFFIX, Bundle
from monai_brain.errors import ConfigurationError, IntegrityError, ModelError, OutputError, UnknownNameError
from monai_brain.safety import trust, verify, zips
from monai_brain.safety.download import download

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def install(source: str | os.PathLike[str], *, progress: bool | None = None) -> tuple[Bundle, verify.Account]:
    """Bring a bundle, read it without running it, and list it; trust must be there or be given.

    Args:
        source: a bundle folder, a zip, an address of a zip, or a name in MONAI's model zoo, NAME or
            NAME@VERSION, which MONAI's own downloader brings.
        progress: a bar; None for one on a terminal.

    Returns:
        The installed bundle and the account of it.

    Raises:
        TrustError: It names code that nobody has trusted: nothing is installed.
        IntegrityError: It is damaged, climbs out of its folder, or is a bomb.
        ConfigurationError: It is no bundle, or its name is taken.
        ModelError: It cannot be fetched.
    """
    place = registry.installed_folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot make {place}: {error.strerror}. Let MONAI_BRAIN_HOME name another."
        ) from None
    with _brought(os.fspath(source), place, progress) as folder:
        bundle = Bundle.at(folder)
        account = verify.of(bundle, os.fspath(source))
        leading_out = [text for text in account.escapes if " is a link to " in text]
        if account.refused or leading_out:
            wrong = "; ".join([*account.refused, *leading_out][:3])
            raise IntegrityError(f"{source} is not installed: {wrong}.")
        target = place / _folder_name(bundle)
        trust.admit(bundle)
        # Its own record, although its code may stand in installed models: those may go, or change.
        trust.record(bundle, os.fspath(source))
        with tempfile.TemporaryDirectory(dir=place, prefix=".taken-") as aside:
            taken = bundle.copy(Path(aside) / target.name)
            taken.root.replace(target)
    registry.forget()
    return Bundle.at(target), account


def remove(name: str) -> Path:
    """Delete an installed bundle and the trust in its code; gives the folder that is gone.

    Raises:
        UnknownNameError: Nothing of that name was installed without a package.
    """
    found = {bundle.name: bundle for bundle in installed()}
    short = name.removesuffix(FOLDER_SUFFIX)
    if short not in found:
        registered = registry.registry().sources.get(short)
        if registered not in (None, registry.INSTALLED):
            raise ConfigurationError(
                f"{short} belongs to the installed package of {registered}. Remove that package by pip."
            )
        raise UnknownNameError("installed bundle", name, found)
    bundle = found[short]
    trust.forget(bundle)
    try:
        shutil.rmtree(bundle.root)
    except OSError as error:
        raise OutputError(f"Cannot remove {bundle.root}: {error.strerror}.") from None
    registry.forget()
    return bundle.root


def installed() -> list[Bundle]:
    """The bundles that were installed without a package and can be read."""
    found = []
    folder = registry.installed_folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.name.startswith("."):
            with contextlib.suppress(ConfigurationError):
                found.append(Bundle.at(path))
    return found


def _folder_name(bundle: Bundle) -> str:
    name = bundle.name
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name of a model: letters, digits, '_', '-' and '.' alone.")
    if name in registry.registry().bundles or name in {one.name for one in installed()}:
        raise ConfigurationError(f"A model {name!r} is installed already. `monai-brain remove {name}` first.")
    return f"{name}{FOLDER_SUFFIX}"


@contextlib.contextmanager
def _brought(source: str, place: Path, progress: bool | None) -> Iterator[Path]:
    """The bundle's folder, wherever it comes from; what was fetched for it goes when the block ends."""
    path = Path(source)
    if _ADDRESS.match(source):
        with tempfile.TemporaryDirectory(dir=place, prefix=".fetched-") as folder:
            archive = download(source, Path(folder) / "bundle.zip", progress=progress)
            with zips.unpacked(archive, Path(folder)) as root:
                yield _named(root, Path(source.partition("?")[0]).stem)
    elif path.is_dir():
        yield path
    elif path.is_file():
        with zips.unpacked(path, place) as root:
            yield _named(root, path.stem)
    elif _NAME.fullmatch(source.partition("@")[0]) and "/" not in source and not source.endswith(".zip"):
        with tempfile.TemporaryDirectory(dir=place, prefix=".fetched-") as folder:
            yield _from_zoo(source, Path(folder), progress)
    else:
        raise ConfigurationError(f"{source} is no folder, zip, address or name in the zoo.")


def _named(root: Path, stem: str) -> Path:
    """The unpacked folder under the archive's name, where the archive has no folder of its own."""
    if not root.name.startswith(".unpacked-"):
        return root
    (inside := root / stem).mkdir()
    for entry in [entry for entry in root.iterdir() if entry != inside]:
        entry.rename(inside / entry.name)
    return inside


def _from_zoo(source: str, folder: Path, progress: bool | None) -> Path:
    """A bundle of MONAI's model zoo, by MONAI's own downloader."""
    name, _, version = source.partition("@")
    from monai.bundle import download as from_zoo

    try:
        from_zoo(name=name, version=version or None, bundle_dir=str(folder), progress=progress is not False)
    except Exception as error:
        raise ModelError(
            f"{source} is no folder here, and MONAI's downloader cannot bring it from the model zoo: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}. Without a network, name a folder "
            "or a zip."
        ) from error
    for path in sorted(folder.glob("*/configs/metadata.json")):
        return path.parents[1]
    raise ModelError(f"MONAI's downloader brought no bundle for {source}.")
