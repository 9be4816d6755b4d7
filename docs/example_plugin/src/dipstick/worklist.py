"""A list for the person who looks at the strips again: the least certain first."""

from __future__ import annotations

from pathlib import Path

from monai_brain import Bundle
from monai_brain.files import whole
from monai_brain.inference.answers import Answers

FILE = "worklist.txt"


def write(answers: Answers, bundle: Bundle, folder: Path) -> Path | None:
    """Write a line a strip, with what could not be read at the end; None for a model of something else."""
    if "trace" not in bundle.labels:
        return None
    rows = sorted(answers.predictions or (), key=lambda row: row.probs[row.predicted])
    with whole(folder / FILE) as stream:
        stream.write(f"{bundle.disclaimer}\n")
        for row in rows:
            stream.write(f"{row.case}\t{row.predicted}\t{row.probs[row.predicted]:.3f}\n")
        for failure in answers.failures:
            stream.write(f"{failure.case}\tnot read\t{failure.reason}\n")
    return folder / FILE
