"""Sending to a DICOMweb service: STOW-RS, one object a request, so that each has its own answer."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from monai_brain.dicom_out import destination as place
from monai_brain.dicom_out.delivery import Fate, Outcome, fate_of
from monai_brain.dicom_out.sources import silenced
from monai_brain.errors import ConfigurationError, MissingExtraError

TIMEOUT = (10, 60)  # seconds to connect, to wait for an answer
_SILENT = "it does not answer"
_PASSING = (401, 403, 407, 408, 421, 423, 425, 429)  # wrong credentials are mended without making it anew


class WebSender:
    """Sends to one DICOMweb service."""

    def __init__(self, target: place.Destination, credentials: place.Credentials) -> None:
        """Prepare to send; nothing is connected yet.

        Raises:
            MissingExtraError: dicomweb-client is not installed.
            ConfigurationError: A secret would travel unencrypted.
        """
        try:
            import requests
            from dicomweb_client.api import DICOMwebClient
        except ImportError as error:
            raise MissingExtraError("dicomweb_client", "send") from error
        if credentials.secret and not target.tls and target.host not in place.LOOPBACK:
            raise ConfigurationError(f"{target.host} would be sent the password unencrypted. Use https://.")
        session = requests.Session()
        # Said at each request, because REQUESTS_CA_BUNDLE goes before what a session says.
        trusted = {"verify": credentials.ca} if credentials.ca else {}
        session.request = functools.partial(session.request, timeout=TIMEOUT, **trusted)
        if credentials.cert:
            session.cert = (credentials.cert, credentials.key) if credentials.key else credentials.cert
        if credentials.token:
            session.headers["Authorization"] = f"Bearer {credentials.token}"
        elif credentials.user:
            session.auth = (credentials.user, credentials.password)
        self._client = DICOMwebClient(target.address, session=session)
        self._client.set_http_retry_params(retry=False)

    def deliver(self, paths: Sequence[Path]) -> Iterator[Outcome]:
        """The fate of each file in turn, as long as the service answers."""
        for path in paths:
            outcome = self._stored(path)
            yield outcome
            if outcome.reason.startswith(_SILENT):
                return

    def _stored(self, path: Path) -> Outcome:
        import pydicom
        import requests

        with silenced():
            try:
                dataset = pydicom.dcmread(path)
            except Exception:  # noqa: BLE001  damaged files raise whatever reads them
                return Outcome(path, Fate.REFUSED, "it is no DICOM file")
            try:
                answer = self._client.store_instances([dataset])
            except requests.HTTPError as error:
                code = error.response.status_code if error.response is not None else 0
                later = code >= 500 or code in (0, *_PASSING)
                if code == 409:
                    return _conflict(path, error.response)
                return Outcome(path, Fate.LATER if later else Fate.REFUSED, f"HTTP {code}")
            except requests.exceptions.SSLError as error:
                return Outcome(path, Fate.LATER, f"{_SILENT} (TLS: {_handshake(error)})")
            except (requests.RequestException, OSError) as error:
                return Outcome(path, Fate.LATER, f"{_SILENT} ({type(error).__name__})")
            return _judged(path, answer)


def _handshake(error: BaseException) -> str:
    """What went wrong with TLS, in the words of the error at the bottom."""
    cause: Any = error
    while True:
        inner = getattr(cause, "reason", None)
        deeper = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
        if deeper is None:
            break
        cause = deeper
    words = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or type(cause).__name__
    return str(words)


def _conflict(path: Path, response: Any) -> Outcome:
    """HTTP 409: the service says in the body which objects it failed to store, and why."""
    from pydicom.dataset import Dataset

    try:
        return _judged(path, Dataset.from_json(response.json()))
    except Exception:  # noqa: BLE001  a body of any kind may come back
        return Outcome(path, Fate.REFUSED, "HTTP 409")


def _judged(path: Path, answer: Any) -> Outcome:
    for failed in answer.get("FailedSOPSequence") or []:
        status = int(failed.get("FailureReason") or 0xC000)
        fate = fate_of(status)
        if fate is not Fate.DELIVERED:
            return Outcome(path, fate, f"failure reason {status:04X}")
    return Outcome(path, Fate.DELIVERED)
