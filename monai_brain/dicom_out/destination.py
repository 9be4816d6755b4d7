"""Where results are sent, and what opens the door: addresses on the command line, secrets never."""

from __future__ import annotations

import json
import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from monai_brain.errors import ConfigurationError

PREFIX = "MONAI_BRAIN_SEND_"
SECRETS_FILE = f"{PREFIX}FILE"
OWN_TITLE = "MONAI_BRAIN_AE_TITLE"
_KEYS = ("user", "password", "token", "ca", "cert", "key")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EXAMPLES = "dicom://AET@host:port, dicoms://AET@host:port (TLS) or https://host/dicom-web"


@dataclass(frozen=True)
class Destination:
    """An archive: a DICOM node (title, host, port) or the root of a DICOMweb service (address)."""

    address: str
    title: str = ""
    host: str = ""
    port: int = 0
    tls: bool = False

    @property
    def web(self) -> bool:
        """Whether it speaks DICOMweb."""
        return not self.title


@dataclass(frozen=True)
class Credentials:
    """What opens the door, as far as it is needed: user and password or token; certificates for TLS."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca: str = ""
    cert: str = ""
    key: str = ""

    @property
    def secret(self) -> bool:
        """Whether there is anything that must not travel in the clear."""
        return bool(self.user or self.password or self.token)


def destination(text: str) -> Destination:
    """The destination that an address names.

    Raises:
        ConfigurationError: It is no such address, holds a password, or would go unencrypted over a network.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(f"{text!r} is no address. Expected {_EXAMPLES}.") from None
    if parts.password is not None:
        raise ConfigurationError(
            f"The address of {host} holds a password, which others on this machine could see. Put it into "
            f"{PREFIX}PASSWORD, or into the file that {SECRETS_FILE} names."
        )
    if parts.scheme in ("dicom", "dicoms"):
        title = ae_title(parts.username or "")
        if not host or port is None or parts.path.strip("/"):
            raise ConfigurationError(f"{text!r} is no DICOM node. Expected {_EXAMPLES}.")
        return Destination(text, title, host, port, parts.scheme == "dicoms")
    if parts.scheme in ("http", "https") and host and not parts.username and not parts.query:
        if parts.scheme == "http" and host not in LOOPBACK:
            raise ConfigurationError(f"{host} would be sent patients' data unencrypted. Use https://.")
        return Destination(text.rstrip("/"), host=host, tls=parts.scheme == "https")
    raise ConfigurationError(f"{text!r} is no address. Expected {_EXAMPLES}.")


def ae_title(text: str) -> str:
    """An application entity title.

    Raises:
        ConfigurationError: It is empty, longer than 16 letters, or holds what a title may not.
    """
    if not re.fullmatch(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?", text):
        raise ConfigurationError(
            f"{text!r} is no AE title: 1 to 16 ASCII letters without a backslash. Expected {_EXAMPLES}."
        )
    return text


def own_title() -> str:
    """The AE title by which we call: MONAI_BRAIN_AE_TITLE, else MONAI_BRAIN."""
    return ae_title(os.environ.get(OWN_TITLE) or "MONAI_BRAIN")


def credentials(environment: Mapping[str, str] | None = None) -> Credentials:
    """The credentials in the environment, and those it lacks from the file that it names.

    Raises:
        ConfigurationError: The file cannot be read, others may read it, or it holds an unknown key.
    """
    given = os.environ if environment is None else environment
    known: dict[str, str] = {}
    if given.get(SECRETS_FILE):
        known = _from_file(Path(given[SECRETS_FILE]))
    known |= {key: given[PREFIX + key.upper()] for key in _KEYS if given.get(PREFIX + key.upper())}
    return Credentials(**known)


def tls(given: Credentials) -> ssl.SSLContext:
    """A TLS context that checks the other's certificate and shows ours, if there is one.

    Raises:
        ConfigurationError: A certificate cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=given.ca or None)
        if given.cert:
            context.load_cert_chain(given.cert, given.key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"A certificate for TLS cannot be read: {error}.") from None
    return context


def _from_file(path: Path) -> dict[str, str]:
    try:
        mode = path.stat().st_mode
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{SECRETS_FILE} names {path}, which is no JSON file: {error}.") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"Others may read {path}, which holds secrets. Run: chmod 600 {path}")
    if not isinstance(content, dict) or set(content) - set(_KEYS):
        raise ConfigurationError(f"{path} must hold a JSON object of {', '.join(_KEYS)}.")
    return {key: str(value) for key, value in content.items()}
