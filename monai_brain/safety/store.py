"""Weights that are not in git: fetched by the address and the hash in the metadata, kept once a machine."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.errors import ConfigurationError, IntegrityError, ModelError
from monai_brain.files import sha256 as digest
from monai_brain.files import whole
from monai_brain.safety.download import DownloadError, download

_SHA256 = re.compile(r"[0-9a-f]{64}")


def get(
    bundle: Bundle,
    folder: str | os.PathLike[str] | None = None,
    source: str | os.PathLike[str] | None = None,
    *,
    progress: bool | None = None,
) -> Path:
    """The file with a model's weights, fetched if it is not there, and of the recorded hash.

    Args:
        bundle: the model, with `weights_version` where several are listed.
        folder: also put a copy there, as model.pt.
        source: a local file to take instead of the address.
        progress: a bar; None for one on a terminal.

    Raises:
        ModelError: No address is listed, or it cannot be reached: file, place and hash are named.
        IntegrityError: What is there, or what arrived, has another hash.
    """
    listed, wanted = bundle.weights_listing, bundle.weights_sha256
    if wanted is not None and not _SHA256.fullmatch(wanted):
        raise ConfigurationError(f"{bundle.name}: monai_brain#weights#sha256 is no SHA-256 of 64 hex digits.")
    place = bundle.fetched_weights
    if place is None:
        if bundle.weights is None or source is not None:
            raise ModelError(
                f"{bundle.name} lists no address and hash of weights: monai_brain#weights in "
                f"configs/metadata.json needs url and sha256. A file of your own is named by --weights."
            )
        found = bundle.weights
    elif source is not None:
        found = _taken(Path(source), place, str(wanted))
    elif bundle.weights is not None:
        found = bundle.weights
    else:
        found = _fetched(bundle, str(listed["url"]), place, str(wanted), progress)
    if wanted is not None and digest(found) != wanted:
        raise IntegrityError(f"{found} has not the recorded SHA-256 {wanted}. Remove it and fetch it again.")
    if folder is None:
        return found
    target = Path(folder) / Path(WEIGHTS_FILE).name
    if not target.is_file() or digest(target) != wanted:
        _copy(found, target)
    return target


def _taken(source: Path, place: Path, wanted: str) -> Path:
    if not source.is_file():
        raise ModelError(f"{source} is no file.")
    found = digest(source)
    if found != wanted:
        raise IntegrityError(f"{source} has SHA-256 {found}, recorded is {wanted}. It was not taken.")
    _copy(source, place)
    return place


def _fetched(bundle: Bundle, url: str, place: Path, wanted: str, progress: bool | None) -> Path:
    try:
        return download(url, place, wanted, progress=progress)
    except DownloadError as error:
        name = bundle.name if bundle.weights_version is None else f"{bundle.name}@{bundle.weights_version}"
        raise ModelError(
            f"The weights of {name} cannot be fetched: {error} Without a network: bring the file "
            f"{url.rpartition('/')[2] or url} with SHA-256 {wanted} here and take it in by "
            f"`monai-brain weights get {name} --from FILE`, which puts it at {place}."
        ) from error


def _copy(source: Path, target: Path) -> None:
    with whole(target, "wb") as stream, source.open("rb") as read:
        shutil.copyfileobj(read, stream, 2**20)
