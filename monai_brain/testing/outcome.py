"""How a check ends: it passes, it fails with what to change, or it does not apply and says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from monai_brain.errors import ModelError

State = Literal["passed", "failed", "not applicable", "expected failure"]


class CheckFailed(ModelError):  # noqa: N818  it reads as the sentence that it is
    """The model does not meet a check; the message says what to change."""


class NotApplicable(Exception):  # noqa: N818  an outcome, not an error
    """The check asks for something that this model or this machine does not have."""


@dataclass(frozen=True)
class Result:
    """How one check of one model ended.

    Attributes:
        name: The check's name.
        state: "passed", "failed", "not applicable" or "expected failure".
        reason: What to change, why it does not apply, or why it is expected; empty where it passed.
        seconds: How long it took.
    """

    name: str
    state: State
    reason: str
    seconds: float


def require(condition: object, message: str) -> None:
    """Fail the check with the message unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


def listed(names: object, most: int = 5) -> str:
    """The first few names and how many more there are."""
    found = [str(name) for name in names]  # type: ignore[attr-defined]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
