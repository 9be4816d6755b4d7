"""One value for many slices: a volume, a series. The rule is stated wherever the value is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.evaluation.prediction_rows import Predictions

RULE = (
    "the mean of the probabilities over the slices that were answered without abstaining, "
    "then the most probable class"
)


def merged(known: Mapping[str, Any] | None, rows: Predictions) -> dict[str, Any]:
    """What is kept of a study's slices, with these rows added."""
    found: dict[str, Any] = dict(known or {"counted": 0, "abstained": 0, "sums": {}})
    sums = dict(found["sums"])
    for row in range(len(rows)):
        if rows.abstain[row]:
            found["abstained"] += 1
            continue
        found["counted"] += 1
        for name, value in zip(rows.classes, rows.probs[row].tolist(), strict=True):
            sums[name] = sums.get(name, 0.0) + value
    return found | {"sums": sums}


def value(kept: Mapping[str, Any], labels: Sequence[str], bundle: Bundle) -> dict[str, Any]:
    """The study's value: predicted class and probabilities, the rule, and what it assumes.

    Without one slice that counts there is no class: `predicted` is None.
    """
    count = int(kept["counted"])
    means = {name: float(kept["sums"][name]) / count for name in labels} if count else {}
    found: dict[str, Any] = {
        "predicted": max(means, key=lambda name: means[name]) if means else None,
        "probabilities": means or None,
        "rule": RULE,
        "slices_counted": count,
        "slices_abstained": int(kept["abstained"]),
    }
    assumes = bundle.facts.get("assumes")
    return found | ({"assumes": str(assumes)} if assumes else {})
