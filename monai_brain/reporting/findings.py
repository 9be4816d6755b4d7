"""Everything that a report shows and that other forms of it write too: tables, drawings, remarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monai_brain.reporting import charts, curves, tables
from monai_brain.reporting.arms import Arm, arms, compared, headline
from monai_brain.reporting.drawing import Drawing
from monai_brain.reporting.recorded import noted, recorded
from monai_brain.reporting.sheet import Estimate, Table
from monai_brain.reporting.source import FILE, KINDS, RUN, Source

_OVERALL_ACCURACY = "accuracy"


@dataclass
class Findings:
    """What was found in a source."""

    source: Source
    arms: Sequence[Arm]
    arm: Arm
    tables: list[Table] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What the report is about, in a few words."""
        metrics, kind = self.arm.metrics, self.source.kind
        if kind in (RUN, FILE) or kind not in KINDS:
            name = " ".join(part for part in (metrics["model"] or "a classifier", metrics["variant"]) if part)
            return f"Report on {name}"
        models = list(dict.fromkeys(str(arm.metrics["model"]) for arm in self.arms))
        names = f"{models[0]} and {len(models) - 1} more" if len(models) > 2 else " and ".join(models)
        return f"{KINDS[kind].partition(' ')[0].capitalize()} of {names}"


def find(source: Source, split: str | None, draws: int, seed: int) -> Findings:
    """The tables and drawings of a source.

    Raises:
        DataError: There are no labelled predictions.
    """
    measured = arms(source, split, draws, seed)
    found = Findings(source, measured, headline(measured))
    rows = recorded(source.tables)
    if rows.tables:
        found.tables += rows.tables
    elif len(measured) > 1:
        found.tables.append(tables.beside(measured))
        comparison = compared(measured, draws, seed)
        if comparison is not None:
            found.tables.append(tables.differences(comparison))
            found.remarks += comparison["notes"]
        else:
            found.remarks.append("The models did not answer the same images: they are not compared.")
    said = [*found.arm.metrics["notes"], *found.remarks]
    more = dict.fromkeys([*noted(source.metrics), *rows.notes])
    found.remarks += [note for note in more if note not in said]
    found.tables.append(tables.overall(found.arm))
    per_fold = tables.folds(found.arm) if not rows.tables else None
    found.tables += [per_fold] if per_fold is not None else []
    found.tables.append(tables.per_class(found.arm))
    if found.arm.metrics["by_patient"] is not None:
        found.tables.append(tables.per_class(found.arm, "by_patient"))
    subgroups = tables.subgroups(found.arm)
    found.tables += [subgroups] if subgroups is not None else []
    found.drawings = _drawings(found, rows.rows)
    return found


def _drawings(found: Findings, rows: Sequence[Mapping[str, Any]]) -> list[Drawing]:
    arm, metrics = found.arm, found.arm.metrics
    measured = arm.measured
    areas = metrics["by_case"]["per_class"]
    lines = {
        name: (curves.roc(measured, index), areas[name]["auroc"]["value"])
        for index, name in enumerate(metrics["classes"])
    }
    shown = [arm, *(one for one in found.arms if one is not arm)][:6]
    drawn: list[Drawing | None] = []
    if len(found.arms) > 1:
        drawn.append(charts.models([_line(one) for one in found.arms]))
    drawn += [charts.roc(lines), charts.reliability(metrics["calibration"]["reliability"])]
    drawn.append(charts.coverage({one.name: curves.coverage(one.measured) for one in shown}))
    drawn += _training(found)
    faults = curves.severities(found.source.metrics.get("curves")) or curves.of_rows(rows)
    low = min((y for one in faults for points in one.lines.values() for _, y in points), default=0.0)
    drawn += [charts.severity(one, max(0.0, int(low * 10) / 10)) for one in faults]
    return [one for one in drawn if one is not None]


def _line(arm: Arm) -> tuple[str, Estimate, float | None]:
    accuracy = Estimate.of(arm.metrics["by_case"]["overall"][_OVERALL_ACCURACY])
    return arm.name, accuracy, arm.paper.get(_OVERALL_ACCURACY)


def _training(found: Findings) -> list[Drawing | None]:
    """Loss, accuracy and learning rate of one run by column, or loss and accuracy of many run by run."""
    runs = [(run.name, run.epochs) for run in found.source.runs]
    runs = [(name, rows) for name, rows in runs if rows]
    if not runs:
        return []
    if len(runs) == 1:
        rows = runs[0][1]
        return [
            charts.training(
                tables.slug(title), title, {words: _points(rows, key) for key, words in columns.items()}
            )
            for title, columns in (
                ("Loss", {"loss": "training"}),
                ("Accuracy", {"train_accuracy": "training", "validation_accuracy": "validation"}),
                ("Learning rate", {"learning_rate": "at each epoch"}),
            )
        ]
    return [
        charts.training(
            tables.slug(title),
            title,
            {name: _points(rows, key) for name, rows in runs},
            f"One curve for each of {len(runs)} trainings.",
        )
        for title, key in (("Training loss", "loss"), ("Validation accuracy", "validation_accuracy"))
    ]


def _points(rows: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    return [(row["epoch"], row[key]) for row in rows if key in row]
