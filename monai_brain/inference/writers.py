"""The forms in which predictions are written beside one another in an output folder."""

from __future__ import annotations

import json
from pathlib import Path

from monai_brain.bundles import Bundle
from monai_brain.evaluation.predictions import write
from monai_brain.files import whole
from monai_brain.inference.predict import Answers


def csv(answers: Answers, bundle: Bundle, folder: Path) -> Path | None:
    """predictions.csv: the file that evaluate, compare and report read."""
    if answers.predictions is None:
        return None
    path = folder / "predictions.csv"
    write(answers.predictions, path)
    return path


def jsonl(answers: Answers, bundle: Bundle, folder: Path) -> Path | None:
    """results.jsonl: one JSON object a line, a result or a failure for every input."""
    path = folder / "results.jsonl"
    with whole(path) as stream:
        for line in results(answers, bundle):
            stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def results(answers: Answers, bundle: Bundle) -> list[dict[str, object]]:
    """What results.jsonl holds, as dictionaries."""
    lines: list[dict[str, object]] = []
    if answers.predictions is not None:
        for row in answers.predictions:
            lines.append(
                {
                    "schema_version": 1,
                    "case": row.case,
                    "status": "abstained" if row.abstain else "done",
                    "predicted": row.predicted,
                    "probabilities": {name: float(value) for name, value in row.probs.items()},
                    "rule": row.rule,
                    "model": row.model,
                    "weights_sha256": row.weights_sha256,
                    "disclaimer": bundle.disclaimer,
                }
            )
    lines += [
        {"schema_version": 1, "case": failure.case, "status": "failed", "reason": failure.reason}
        for failure in answers.failures
    ]
    return lines
