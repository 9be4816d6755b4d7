"""Many images of one examination as one row: which views there are, which are missing, and the verdict.

What a whole examination needs stands in the bundle's metadata.json under monai_brain.exam:

    {"standard_views": ["R CC", "L CC", "R MLO", "L MLO"], "spoiled_by": "incomplete", "whole": "complete"}
"""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError
from monai_brain.files import whole
from monai_brain.inference.answers import Answer
from monai_brain.inference.gates import DONE, NOT_APPLICABLE

UNDECIDED = "undecided"
RULE = (
    "{spoiled_by} if one view is; {whole} if every standard view is there and each view was found {whole}; "
    "undecided otherwise. Views that are not applicable do not count."
)
_COLUMNS = (
    "schema_version",
    "exam",
    "verdict",
    "missing",
    "right",
    "left",
    "side_unknown",
    "time",
    "disclaimer",
)


def rule(bundle: Bundle) -> dict[str, Any]:
    """What the bundle says of examinations.

    Raises:
        ConfigurationError: It says nothing.
    """
    found = bundle.facts.get("exam")
    if not isinstance(found, dict):
        raise ConfigurationError(f"{bundle.name} judges single images: its metadata has no monai_brain.exam.")
    return found


def view(answer: Answer) -> dict[str, Any]:
    """What is kept of one image of an examination."""
    facts = answer.header.described if answer.header is not None else {}
    row = answer.rows[0] if answer.rows is not None else None
    return {
        "case": answer.case,
        "side": facts.get("laterality", ""),
        "view": facts.get("view_position", ""),
        "status": answer.status,
        "predicted": row.predicted if row is not None and answer.status == DONE else "",
        "probability": row.probs[row.predicted] if row is not None and answer.status == DONE else None,
        "reason": answer.reason,
    }


def judged(exam: str, views: Sequence[Mapping[str, Any]], bundle: Bundle) -> dict[str, Any]:
    """One examination: verdict, standard views that are missing, and its views by side."""
    stated = rule(bundle)
    spoiled_by, complete = str(stated["spoiled_by"]), str(stated["whole"])
    counted = [one for one in views if one["status"] != NOT_APPLICABLE]
    there = {f"{one['side']} {one['view']}" for one in counted}
    missing = [name for name in stated["standard_views"] if name not in there]
    if any(one["predicted"] == spoiled_by for one in counted):
        verdict = spoiled_by
    elif not missing and counted and all(one["predicted"] == complete for one in counted):
        verdict = complete
    else:
        verdict = UNDECIDED
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "schema_version": 1,
        "exam": exam,
        "verdict": verdict,
        "missing": missing,
        "right": [dict(one) for one in views if one["side"] == "R"],
        "left": [dict(one) for one in views if one["side"] == "L"],
        "side_unknown": [dict(one) for one in views if one["side"] not in ("L", "R")],
        "rule": RULE.format(spoiled_by=spoiled_by, whole=complete),
        "time": now,
        "disclaimer": bundle.disclaimer,
    }


def write(exams: Iterable[tuple[str, list[dict[str, Any]]]], bundle: Bundle, folder: Path) -> int:
    """Write exams.jsonl and exams.csv, a line an examination; gives how many."""
    count = 0
    with whole(folder / "exams.jsonl") as lines, whole(folder / "exams.csv") as table:
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for name, views in exams:
            line = judged(name, views, bundle)
            lines.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            rows.writerow([_cell(line[column]) for column in _COLUMNS])
            count += 1
    return count


def said(folder: Path) -> Iterator[str]:
    """A line for each examination, for a person to read."""
    with (folder / "exams.jsonl").open(encoding="utf-8") as stream:
        for text in stream:
            line = json.loads(text)
            missing = f", missing {', '.join(line['missing'])}" if line["missing"] else ""
            yield f"{line['exam']}  {line['verdict']}{missing}"


def _cell(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if value and isinstance(value[0], dict):
        shown = io.StringIO()
        shown.write(
            "; ".join(
                f"{one['view'] or 'view unknown'}: {one['predicted'] or one['status']}" for one in value
            )
        )
        return shown.getvalue()
    return "; ".join(map(str, value))
