"""A receiver of images: C-STORE from known nodes into a folder, whole files under hashed names."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from monai_brain.data.pseudonyms import own_key, pseudonym
from monai_brain.dicom_out.destination import ae_title
from monai_brain.dicom_out.sources import silenced
from monai_brain.errors import ConfigurationError, MissingExtraError, OutputError
from monai_brain.files import sweep, write_whole

log = logging.getLogger(__name__)

SUCCESS, DUPLICATE, NO_ROOM, UNREADABLE = 0x0000, 0x0111, 0xA700, 0xC000
MOST_CALLERS = 10
MEGABYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """What a receiver takes at most, in bytes: one object, and the whole folder."""

    item: int = 512 * MEGABYTE
    folder: int = 50 * 1024 * MEGABYTE


class Receiver:
    """Takes objects from the network while it is entered.

    Attributes:
        received: how many objects were stored.
        refused: how many were not.
    """

    def __init__(
        self,
        address: str,
        folder: Path,
        known: Sequence[str],
        limits: Limits | None = None,
        tell: Callable[[str], None] | None = None,
        by_study: bool = False,
    ) -> None:
        """Prepare to listen at "AET@host:port" for the AE titles in `known`.

        Args:
            address: Where.
            folder: Where the files go.
            known: Who may send.
            limits: How much is taken.
            tell: Hears of each refusal.
            by_study: Give each study a folder of its own, as watching expects it.

        Raises:
            ConfigurationError: The address is none, or no title is known.
            MissingExtraError: pynetdicom is not installed.
        """
        self.title, self.host, self.port = _address(address)
        if not known:
            raise ConfigurationError("Nobody may send. Name the AE titles that may, by --from AET.")
        self.folder, self.limits, self.by_study = folder, limits or Limits(), by_study
        self.known = [ae_title(title) for title in known]
        self.received = self.refused = 0
        self._tell, self._lock = tell or log.info, threading.Lock()
        self._arriving: dict[int, int] = {}
        self._server: Any = None
        try:
            import pynetdicom
        except ImportError as error:
            raise MissingExtraError("pynetdicom", "send") from error
        self._entity = pynetdicom.AE(self.title)
        self._entity.require_called_aet = True
        self._entity.require_calling_aet = self.known
        self._entity.maximum_associations = MOST_CALLERS
        self._entity.network_timeout = self._entity.dimse_timeout = self._entity.acse_timeout = 30
        for context in pynetdicom.AllStoragePresentationContexts:
            self._entity.add_supported_context(context.abstract_syntax, pynetdicom.ALL_TRANSFER_SYNTAXES)
        self._entity.add_supported_context("1.2.840.10008.1.1")  # C-ECHO

    def __enter__(self) -> Self:
        from pynetdicom import evt

        self.folder.mkdir(parents=True, exist_ok=True)
        for place in (self.folder, *(path for path in self.folder.iterdir() if path.is_dir())):
            sweep(place)
        self._used = sum(file.stat().st_size for file in self.folder.rglob("*.dcm"))
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]
        try:
            self._server = self._entity.start_server(
                (self.host, self.port), block=False, evt_handlers=handlers
            )
        except OSError as error:
            raise OutputError(f"Cannot listen at {self.host}:{self.port}: {error.strerror}.") from None
        self.port = self._server.server_address[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        """The status of one object: stored whole, or not at all."""
        with self._lock:
            self._arriving.pop(id(event.assoc), None)
            try:
                with silenced():
                    data, instance = event.encoded_dataset(), str(event.request.AffectedSOPInstanceUID)
                    study = str(event.dataset.get("StudyInstanceUID") or "") if self.by_study else ""
                place = self.folder / pseudonym("study", study, own_key()) if self.by_study else self.folder
                status, why = self._keep(data, place / f"{pseudonym('instance', instance, own_key())}.dcm")
            except OutputError:
                status, why = NO_ROOM, "the folder cannot be written"
            except Exception as error:  # noqa: BLE001  a sender may send anything
                status, why = UNREADABLE, f"it cannot be read ({type(error).__name__})"
            if status == SUCCESS:
                self.received += 1
            else:
                self.refused += 1
                self._tell(f"refused an object: {why}")
        return status

    def _keep(self, data: bytes, path: Path) -> tuple[int, str]:
        if len(data) > self.limits.item:
            return NO_ROOM, f"it is larger than {self.limits.item // MEGABYTE} MB"
        if path.exists():
            same = path.read_bytes() == data
            return (SUCCESS, "") if same else (DUPLICATE, "its UID names another content here")
        if self._used + len(data) > self.limits.folder:
            return NO_ROOM, f"the folder holds {self.limits.folder // MEGABYTE} MB"
        write_whole(path, lambda stream: stream.write(data))
        self._used += len(data)
        return SUCCESS, ""

    def _count(self, event: Any) -> None:
        """Break off a sender whose object grows beyond the limit: before memory is full, not after."""
        key = id(event.assoc)
        self._arriving[key] = self._arriving.get(key, 0) + len(event.data)
        if self._arriving[key] > self.limits.item + MEGABYTE:
            self._arriving[key] = -self.limits.folder  # once
            self.refused += 1
            self._tell(f"broke off a sender: its object is larger than {self.limits.item // MEGABYTE} MB")
            threading.Thread(target=event.assoc.abort, daemon=True).start()  # this thread must go on

    def _rejected(self, event: Any) -> None:
        self._tell("refused a caller: its AE title, or the one it called, is not known here")

    def _closed(self, event: Any) -> None:
        self._arriving.pop(id(event.assoc), None)


def _address(text: str) -> tuple[str, str, int]:
    title, at, place = text.rpartition("@")
    host, colon, port = place.rpartition(":")
    if not at or not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"{text!r} is no place to listen at. Expected AET@127.0.0.1:PORT.")
    return ae_title(title), host.strip("[]"), int(port)
