"""Sending to a DICOM node: C-STORE over one association for many files."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from monai_brain.dicom_out import destination as place
from monai_brain.dicom_out.delivery import Fate, Outcome, fate_of
from monai_brain.dicom_out.sources import silenced
from monai_brain.errors import MissingExtraError

CONNECT_SECONDS, ANSWER_SECONDS = 10, 60
MOST_CONTEXTS = 128


class NodeSender:
    """Sends to one DICOM node."""

    def __init__(self, target: place.Destination, credentials: place.Credentials) -> None:
        """Prepare to send; nothing is connected yet.

        Raises:
            MissingExtraError: pynetdicom is not installed.
        """
        try:
            import pynetdicom
        except ImportError as error:
            raise MissingExtraError("pynetdicom", "send") from error
        self.target, self._entity = target, pynetdicom.AE(place.own_title())
        self._entity.acse_timeout = self._entity.connection_timeout = CONNECT_SECONDS
        self._entity.dimse_timeout = self._entity.network_timeout = ANSWER_SECONDS
        self._tls = (place.tls(credentials), target.host) if target.tls else None

    def deliver(self, paths: Sequence[Path]) -> Iterator[Outcome]:
        """The fate of each file in turn, as long as the node answers."""
        with silenced():
            read = [(path, *_read(path)) for path in paths]
        unreadable = [path for path, dataset, _ in read if dataset is None]
        yield from (Outcome(path, Fate.REFUSED, "it is no DICOM file") for path in unreadable)
        offered: dict[tuple[str, str], None] = {}
        for _, dataset, syntax in read:
            if dataset is not None and len(offered) < MOST_CONTEXTS:
                offered[str(dataset.SOPClassUID), syntax] = None
        usable = [(path, dataset) for path, dataset, _ in read if dataset is not None]
        if usable:
            yield from self._over_one_association(usable, list(offered))

    def _over_one_association(
        self, files: list[tuple[Path, Any]], contexts: list[tuple[str, str]]
    ) -> Iterator[Outcome]:
        from pynetdicom import build_context

        association = self._entity.associate(
            self.target.host,
            self.target.port,
            contexts=[build_context(*context) for context in contexts],
            ae_title=self.target.title,
            tls_args=self._tls,
        )
        if not association.is_established:
            why = "it refuses our AE title or theirs" if association.is_rejected else self._silent()
            yield Outcome(files[0][0], Fate.LATER, why)
            return
        try:
            for path, dataset in files:
                outcome = _stored(association, path, dataset)
                yield outcome
                if not association.is_established:
                    return
        finally:
            if association.is_established:
                association.release()

    def _silent(self) -> str:
        """Why there was no association: over TLS a handshake of our own tells whose certificate it was."""
        if self._tls is None:
            return "it does not answer"
        address = (self.target.host, self.target.port)
        try:
            with (
                socket.create_connection(address, CONNECT_SECONDS) as plain,
                self._tls[0].wrap_socket(plain, server_hostname=self.target.host) as secured,
            ):
                secured.settimeout(1)
                secured.recv(1)  # with TLS 1.3 a server refuses our certificate only after the handshake
        except ssl.SSLCertVerificationError as error:
            return f"TLS: its certificate is not trusted ({error.verify_message})"
        except (ssl.SSLError, ConnectionError) as error:
            return f"TLS: no connection comes about ({getattr(error, 'reason', None) or error.strerror})"
        except OSError:
            pass
        return "it does not answer"


def _stored(association: Any, path: Path, dataset: Any) -> Outcome:
    if not association.is_established:
        return Outcome(path, Fate.LATER, "the connection broke")
    try:
        with silenced():
            answer = association.send_c_store(dataset)
    except ValueError:
        return Outcome(path, Fate.REFUSED, "it does not take objects of this kind")
    except RuntimeError:
        return Outcome(path, Fate.LATER, "the connection broke")
    if "Status" not in answer:
        return Outcome(path, Fate.LATER, "the connection broke")
    status = int(answer.Status)
    fate = fate_of(status)
    return Outcome(path, fate, "" if fate is Fate.DELIVERED else f"status {status:04X}")


def _read(path: Path) -> tuple[Any, str]:
    """The dataset of a file and its transfer syntax; None where it is none. It may be gone by now."""
    import pydicom

    try:
        dataset = pydicom.dcmread(path)
        return dataset, str(dataset.file_meta.TransferSyntaxUID)
    except Exception:  # noqa: BLE001  damaged files raise whatever reads them
        return None, ""
