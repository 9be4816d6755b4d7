"""Objects on their way: a folder on disk that loses nothing, whatever dies in between.

An object leaves the folder only after the archive has said that it has it. A sender killed between the
two sends it again; the archive knows its UID and keeps one.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from monai_brain.dicom_out.c_store import NodeSender
from monai_brain.dicom_out.delivery import Fate, Outcome, Sender
from monai_brain.dicom_out.destination import Destination, credentials
from monai_brain.dicom_out.sources import silenced
from monai_brain.dicom_out.stow import WebSender
from monai_brain.errors import DataError, MissingExtraError, OutputError
from monai_brain.files import sweep, whole, write_whole

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two attempts
AT_ONCE = 50  # objects read into memory for one association
_ADDRESS = "destination.txt"


@dataclass
class Sent:
    """What became of the objects of a queue: how many arrived or still wait, and what was refused and why."""

    delivered: int = 0
    waiting: int = 0
    refused: list[str] = field(default_factory=list)
    reason: str = ""


class Queue:
    """The objects that wait for one destination."""

    def __init__(self, folder: str | os.PathLike[str], target: Destination) -> None:
        """Open or make the destination's folder within `folder`; only the user may look into it.

        Raises:
            OutputError: It cannot be made.
        """
        self.target = target
        name = hashlib.sha256(target.address.encode()).hexdigest()[:16]
        self.root = Path(folder) / name
        self.pending, self.refused = self.root / "pending", self.root / "refused"
        try:
            for place in (self.root, self.pending, self.refused):
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputError(f"Cannot make {self.root}: {error.strerror}. Name another --queue.") from None
        if not (self.root / _ADDRESS).is_file():
            with whole(self.root / _ADDRESS) as stream:
                stream.write(f"{target.address}\n")
        sweep(self.pending)

    def put(self, paths: Iterable[str | os.PathLike[str]]) -> int:
        """Add DICOM files, each once however often it is put; gives how many are new here.

        Raises:
            DataError: A file is no DICOM object.
            OutputError: The queue cannot be written.
        """
        new = 0
        for path in map(Path, paths):
            name, data = _read(path)
            target = self.pending / f"{name}.dcm"
            if not target.exists():
                write_whole(target, partial(_write, data=data))
                new += 1
            elif target.read_bytes() != data:
                raise DataError(f"{path.name}: not sent: another content waits under its UID")
        return new

    def waiting(self) -> list[Path]:
        """The files that wait, in a fixed order."""
        return sorted(self.pending.glob("*.dcm"))

    def send(
        self,
        wait: float = 60.0,
        sender: Sender | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Sent:
        """Send until nothing waits, or nothing has moved for `wait` seconds.

        Args:
            wait: seconds without any success after which what is left stays for the next time.
            sender: brings the files there; by default what the destination's address asks for.
            tell: is called with one line when the archive does not answer.
        """
        sender, sent = sender or sender_for(self.target), Sent()
        pause, last_success, told = FIRST_PAUSE, time.monotonic(), ""
        tries: Counter[str] = Counter()
        # What could not be taken goes behind the others: one object never stops the rest.
        while waiting := sorted(self.waiting(), key=lambda path: (tries[path.name], path.name)):
            moved, sent.reason = False, ""
            for outcome in sender.deliver(waiting[:AT_ONCE]):
                if outcome.fate is Fate.LATER:
                    sent.reason = outcome.reason
                    tries[outcome.path.name] += 1
                else:
                    moved = True
                    self._settle(outcome, sent)
            if moved:
                pause, last_success = FIRST_PAUSE, time.monotonic()
                continue
            left = wait - (time.monotonic() - last_success)
            if left <= 0:
                break
            if tell is not None and sent.reason != told:
                told = sent.reason
                tell(f"{self.target.address}: {told or 'nothing was taken'}; {len(waiting)} wait")
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)
        sent.waiting = len(self.waiting())
        return sent

    def _settle(self, outcome: Outcome, sent: Sent) -> None:
        """Take an object out of the queue: it arrived, or never will."""
        if outcome.fate is Fate.DELIVERED:
            outcome.path.unlink(missing_ok=True)
            sent.delivered += 1
        elif outcome.path.exists():  # else another sender was quicker, and it arrived
            with whole(self.refused / f"{outcome.path.stem}.txt") as stream:
                stream.write(f"{outcome.reason}\n")
            outcome.path.replace(self.refused / outcome.path.name)
            sent.refused.append(f"{outcome.path.stem}: refused: {outcome.reason}")


def sender_for(target: Destination) -> Sender:
    """What can send to the destination, with the credentials of the environment.

    Raises:
        MissingExtraError: Its package is not installed.
        ConfigurationError: The credentials cannot be used.
    """
    return WebSender(target, credentials()) if target.web else NodeSender(target, credentials())


def _read(path: Path) -> tuple[str, bytes]:
    """A file's name in the queue, the hash of its SOP Instance UID, and its bytes."""
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtraError("pydicom", "send") from error
    try:
        data = path.read_bytes()
        with silenced():
            meta = pydicom.filereader.read_file_meta_info(path)
            return hashlib.sha256(str(meta.MediaStorageSOPInstanceUID).encode()).hexdigest()[:32], data
    except Exception as error:  # noqa: BLE001  damaged headers raise whatever reads them
        raise DataError(f"{path.name}: not sent: it is no DICOM file ({type(error).__name__})") from None


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(data)
