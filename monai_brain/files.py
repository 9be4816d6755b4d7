"""Files that appear whole or not at all, and their SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from monai_brain.errors import ConfigurationError, OutputError

TEMPORARY_SUFFIX = ".partial"


@contextlib.contextmanager
def whole(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """An open file that takes the name `path` only when the block ends without an error.

    The bytes go to a temporary file beside it, are forced to disk, and replace `path` in one step:
    a killed process leaves the old file, never half of the new one.

    Raises:
        OutputError: The place cannot be written, or the disk is full.
    """
    target = Path(path)
    partial: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=TEMPORARY_SUFFIX
        )
        text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with os.fdopen(descriptor, mode, **text) as stream:  # type: ignore[call-overload]
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(partial).chmod(0o666 & ~_umask())
        Path(partial).replace(target)
    except OSError as error:
        raise OutputError(
            f"Cannot write {target}: {error.strerror or error}. Free the disk or name another place."
        ) from error
    finally:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)


def write_whole(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill the binary file that then appears as `path`."""
    with whole(path, "wb") as stream:
        write(stream)


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write JSON that any reader takes: no NaN, no infinity, a newline at the end."""
    with whole(path) as stream:
        json.dump(content, stream, indent=2, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sweep(folder: str | os.PathLike[str]) -> int:
    """The number of temporary files removed that a killed process had left in the folder."""
    stray = list(Path(folder).glob(f".*{TEMPORARY_SUFFIX}"))
    for path in stray:
        path.unlink(missing_ok=True)
    return len(stray)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file that says one thing only.

    Raises:
        ConfigurationError: The file is missing or no JSON, holds a key twice (of which most
            parsers silently keep the last) or a number that is none.
    """
    source = Path(path)
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"{source} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{source} cannot be read as UTF-8 text: {error}.") from None

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
            raise ConfigurationError(f"{source} holds the key {twice!r} twice. Keep one.")
        return content

    def number(constant: str) -> None:
        raise ConfigurationError(f"{source} holds {constant}, which is no JSON number.")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=number)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{source} is no valid JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise ConfigurationError(f"{source} is nested too deeply to be read.") from None
