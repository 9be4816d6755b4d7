"""What is said of inputs: an answer for each, and many answers as predictions and failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.data.headers import Header
from monai_brain.evaluation.predictions import Predictions, put_together
from monai_brain.inference.gates import DONE, FAILED
from monai_brain.inference.names import Entry
from monai_brain.inference.predictor import Failure

SCHEMA_VERSION = 1


@dataclass
class Answer:
    """What is said of one input.

    Attributes:
        entry: The input; where it lies stays in memory.
        case: Its name in results.
        status: done, abstained, not applicable, outside training domain or failed.
        reason: Why it is not done; "" where it is.
        rows: One row for each image that was asked: one, or the slices of a volume.
        header: What its header says; with the identifiers, which stay in memory too.
        slices: Slices of a volume that could not be asked, with the reason and how many; None for one image.
        value: For a volume the value over its slices.
        forced: What would have withheld the label, had it not been forced.
    """

    entry: Entry
    case: str
    status: str
    reason: str = ""
    rows: Predictions | None = None
    header: Header | None = None
    slices: dict[str, int] | None = None
    value: dict[str, Any] | None = None
    forced: str = ""

    def line(self, bundle: Bundle, weights_sha256: str) -> dict[str, Any]:
        """The answer as results.jsonl holds it."""
        found: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "case": self.case, "status": self.status}
        if self.reason:
            found["reason"] = self.reason
        if self.status == FAILED:
            return found
        if self.value is not None:
            found |= self.value
        elif self.rows is not None:
            row = self.rows[0]
            found |= {"predicted": row.predicted, "probabilities": dict(row.probs), "rule": row.rule}
        if self.slices:
            found["slices_left_out"] = self.slices
        if self.forced:
            found["forced"] = self.forced
        if self.header is not None and self.header.described.get("burned_in"):
            found["burned_in_annotation"] = True
        told = {"model": bundle.name, "weights_sha256": weights_sha256, "disclaimer": bundle.disclaimer}
        return found | told


@dataclass
class Answers:
    """What a model said about inputs, in their order.

    Attributes:
        predictions: A row for every image that was asked; None where there is none.
        failures: The inputs that could not be read.
        inputs: An answer for every input, as far as the answers come straight from the model.
        withheld: Lines, as in results.jsonl, of the inputs that got no label and are no failures.
        weights_sha256: The weights that were asked.
    """

    predictions: Predictions | None = None
    failures: list[Failure] = field(default_factory=list)
    inputs: list[Answer] = field(default_factory=list)
    withheld: list[dict[str, Any]] = field(default_factory=list)
    weights_sha256: str = ""


def gathered(answers: Sequence[Answer], bundle: Bundle, weights_sha256: str) -> Answers:
    """Many answers as one."""
    rows = [answer.rows for answer in answers if answer.rows is not None]
    return Answers(
        predictions=put_together(rows) if rows else None,
        failures=[Failure(one.case, one.reason) for one in answers if one.status == FAILED],
        inputs=list(answers),
        withheld=[
            one.line(bundle, weights_sha256)
            for one in answers
            if one.rows is None and one.status not in (DONE, FAILED)
        ],
        weights_sha256=weights_sha256,
    )
