"""What became of one object that was sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol


class Fate(Enum):
    """Delivered: the archive has it. Refused: it will never take it. Later: it did not answer, or is full."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True)
class Outcome:
    """The fate of a file, and why where it was not delivered."""

    path: Path
    fate: Fate
    reason: str = ""


class Sender(Protocol):
    """Brings files to one archive."""

    def deliver(self, paths: Sequence[Path]) -> Iterator[Outcome]:
        """The fate of each file in turn; it may end where the archive does not answer."""
        ...


def fate_of(status: int) -> Fate:
    """What a DICOM status or failure reason (PS3.4 annex B, PS3.7 annex C) means for the one who sends.

    A duplicate is delivered: our UIDs never name two contents. Out of resources and processing failures
    pass; what is left says that the object does not suit, and will not tomorrow.
    """
    if status in (0x0000, 0x0111) or 0xB000 <= status <= 0xBFFF:
        return Fate.DELIVERED
    return Fate.LATER if 0xA700 <= status <= 0xA7FF or status in (0x0110, 0x0213) else Fate.REFUSED
