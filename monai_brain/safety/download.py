"""One file from an address: whole or not at all, held against its SHA-256, resumed where it broke off."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from monai_brain.errors import ConfigurationError, IntegrityError, ModelError, OutputError

TIMEOUT = 30.0  # seconds without a byte
LARGEST = 16 * 2**30
_CHUNK = 2**20
_ABANDONED = 120.0  # seconds without a write after which another process's part is taken over


class DownloadError(ModelError):
    """An address that does not give what it should."""


def download(url: str, target: Path, sha256: str | None = None, *, progress: bool | None = None) -> Path:
    """Fetch a file; proxies are those of the environment (HTTPS_PROXY, NO_PROXY).

    What arrived before a broken connection stays beside the target, and the next call goes on there, if
    the hash is known by which the whole can be proven.

    Args:
        url: an http or https address.
        target: the file that appears when all has arrived and has the hash.
        sha256: the hash that it must have; None where none is known.
        progress: a bar; None for one on a terminal.

    Raises:
        ConfigurationError: The address is of another kind.
        DownloadError: The server cannot be reached, or refuses.
        IntegrityError: What arrived has another hash.
        OutputError: The place cannot be written.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ConfigurationError(f"{url} is no http or https address.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _claimed(target, keep=sha256 is not None)
        try:
            _fetch(url, part, progress)
            if sha256 is not None and _digest(part) != sha256:
                # A part of an older file may have been gone on with: once more from the beginning.
                part.unlink()
                _fetch(url, part, progress)
                found = _digest(part)
                if found != sha256:
                    part.unlink()
                    raise IntegrityError(
                        f"{url} gave a file of SHA-256 {found}, recorded is {sha256}. It was thrown away. "
                        "Ask whoever published the model which of the two is right."
                    )
            part.replace(target)
        finally:
            if part.exists():  # what is there can be gone on with
                part.replace(_waiting(target))
    except OSError as error:
        raise OutputError(f"Cannot write {target}: {error.strerror or error}.") from error
    return target


def _waiting(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _claimed(target: Path, *, keep: bool) -> Path:
    """A part of this process's own, with what an earlier try has left: two processes never write into one."""
    own = target.with_name(f"{target.name}.{os.getpid()}-{time.monotonic_ns()}.part")
    left = [_waiting(target)]
    for path in target.parent.glob(f"{target.name}.*-*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                left.append(path)
    for path in left:
        with contextlib.suppress(FileNotFoundError):
            if keep:
                path.replace(own)
                break
            path.unlink()
    return own


def _fetch(url: str, part: Path, progress: bool | None) -> None:
    begun = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "monai-brain"})  # noqa: S310  http or https
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    try:
        # An opener of its own, because the global one keeps the proxies of its first use.
        with urllib.request.build_opener().open(request, timeout=TIMEOUT) as answer:
            goes_on = answer.status == http.client.PARTIAL_CONTENT and _begins_at(answer, begun)
            _store(answer, part, begun if goes_on else 0, url, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and begun:
            return  # all of it is there already, or it is another file: the hash tells
        raise DownloadError(f"{url} answers {error.code} {error.reason}.") from None
    except urllib.error.URLError as error:
        raise DownloadError(f"{url} cannot be reached: {error.reason}.") from None
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        text = str(error) or type(error).__name__
        raise DownloadError(f"{url} broke off: {text}. Start it again: it goes on there.") from None


def _begins_at(answer: Any, place: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {place}-")


def _store(answer: Any, part: Path, begun: int, url: str, progress: bool | None) -> None:
    from tqdm import tqdm

    length = answer.headers.get("Content-Length")
    whole = begun + int(length) if length and length.isdigit() else None
    bar = tqdm(
        total=whole,
        initial=begun,
        unit="B",
        unit_scale=True,
        desc=part.name.partition(".")[0][:16],
        disable=None if progress is None else not progress,
    )
    with part.open("r+b" if begun else "wb") as stream, bar:
        stream.seek(begun)
        while chunk := answer.read(_CHUNK):
            if stream.tell() + len(chunk) > LARGEST:
                raise DownloadError(f"{url} gives more than {LARGEST // 2**30} GiB.")
            stream.write(chunk)
            bar.update(len(chunk))
        stream.flush()
        os.fsync(stream.fileno())
        if whole is not None and stream.tell() < whole:
            raise DownloadError(
                f"{url} broke off after {stream.tell()} of {whole} bytes. Start it again: it goes on there."
            )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
