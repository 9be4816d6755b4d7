"""Names for people and their examinations that tell equal from different, and nothing else."""

from __future__ import annotations

import hashlib
import os

from monai_brain.errors import ConfigurationError, OutputError
from monai_brain.home import home

_BYTES = 32
_DIGITS = 16


def own_key() -> bytes:
    """This installation's secret key, drawn when it is first needed; only the user may read it.

    Without the key, ids cannot be hashed again by someone who tries them all.

    Raises:
        OutputError: It cannot be written.
        ConfigurationError: The file holds no key.
    """
    file = home() / "pseudonyms.key"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = file.read_bytes()
        else:
            key = os.urandom(_BYTES)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(key)
    except OSError as error:
        raise OutputError(
            f"Cannot use the key {file}: {error.strerror or error}. Let MONAI_BRAIN_HOME name another folder."
        ) from error
    if len(key) != _BYTES:
        raise ConfigurationError(
            f"{file} holds {len(key)} bytes, expected {_BYTES}. Remove it to draw a new key."
        )
    return key


def pseudonym(what: str, value: str, key: bytes) -> str:
    """A name of 16 hexadecimal digits for a value: BLAKE2 under the key, another one for each `what`."""
    digest = hashlib.blake2b(value.encode(), key=key, person=what.encode()[:16], digest_size=_DIGITS // 2)
    return digest.hexdigest()
