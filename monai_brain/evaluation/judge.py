"""metrics.json from predictions.csv: the figures of one run with intervals, and what to know about them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from monai_brain.errors import ConfigurationError, DataError, MonaiBrainError
from monai_brain.evaluation import calibration, folds, remarks
from monai_brain.evaluation.intervals import DRAWS, FEW_GROUPS, LEVEL, figures
from monai_brain.evaluation.metrics import OVERALL, Sample, confusion_matrix
from monai_brain.evaluation.patients import RULES, by_patient, patient_names
from monai_brain.evaluation.prediction_columns import NONE, SCHEMA_VERSION, StrArray
from monai_brain.evaluation.predictions import Predictions, read
from monai_brain.evaluation.summary import summary

__all__ = ["evaluate", "summary"]

SUBGROUPS = ("plane", "source")
_MOST_VALUES = 12  # a meta column with more values is a measurement, not a subgroup


@dataclass(frozen=True)
class _Drawing:
    draws: int
    seed: int
    level: float


def evaluate(
    predictions: Predictions | str | os.PathLike[str],
    *,
    split: str | None = None,
    where: Mapping[str, Any] | None = None,
    patient_rule: str = "mean",
    subgroups: Sequence[str] | None = None,
    leakage: str | None = None,
    notes: Sequence[str] = (),
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Any]:
    """The content of metrics.json, which JSON takes as it is: null for what is not defined.

    Args:
        predictions: Predictions of one model and variant, or the file that holds them.
        split: Which split is measured; by default "test" where there is one, else the only one there is.
        where: Further columns and the values wanted, as `Predictions.where` takes them.
        patient_rule: How slices become patients: "mean" or "majority".
        subgroups: Columns whose values are measured apart; by default plane, source and every meta column
            with 2 to 12 values.
        leakage: How the data were split if not by patient, such as "record-wise"; marks the result.
        notes: Remarks to stand first among the notes.
        draws: Resamples behind each interval.
        seed: The same seed gives the same intervals.
        level: The share of intervals that shall cover the truth.

    Raises:
        ConfigurationError: No one split, variant or model is chosen.
        DataError: There is no labelled case.
    """
    given = predictions if isinstance(predictions, Predictions) else read(predictions)
    drawing = _Drawing(draws, seed, level)
    try:
        chosen = given.where(**where) if where else given
        return _evaluate(chosen, split, patient_rule, subgroups, leakage, notes, drawing)
    except MonaiBrainError as error:
        if not isinstance(predictions, Predictions):
            error.args = (f"{os.fspath(predictions)}: {error}",)
        raise


def _evaluate(
    everything: Predictions,
    split: str | None,
    patient_rule: str,
    subgroups: Sequence[str] | None,
    leakage: str | None,
    notes: Sequence[str],
    drawing: _Drawing,
) -> dict[str, Any]:
    split = _chosen_split(everything, split)
    chosen = everything if split is None else everything.where(split=split)
    _refuse_several(chosen)
    labelled = chosen.subset(chosen.label != NONE)
    rows = labelled.subset(~labelled.abstain)
    if len(rows) == 0:
        raise DataError(
            f"There is no labelled and answered case among {len(chosen)}. Give predictions with labels."
        )
    groups = _groups(rows)
    leakage = leakage or remarks.leakage_told(rows, everything)
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "model": str(rows.model[0]),
        "variant": str(rows.variant[0]),
        "weights_sha256": sorted(set(rows.weights_sha256.tolist()) - {""}),
        "classes": list(rows.classes),
        "split": split,
        "rule": sorted(set(rows.rule.tolist())),
        "leakage": leakage,
        "cases": {
            "given": len(chosen),
            "unlabelled": len(chosen) - len(labelled),
            "abstained": len(labelled) - len(rows),
            "measured": len(rows),
            "groups": None if groups is None else len(np.unique(groups)),
        },
        "interval": {
            **asdict(drawing),
            "few_groups": groups is not None and len(np.unique(groups)) < FEW_GROUPS,
        },
        "by_case": _measured(rows, groups, drawing),
        "by_patient": None,
        "by_fold": folds.spread(rows),
        "calibration": _calibration(rows, everything),
        "subgroups": _subgroups(rows, groups, subgroups, drawing),
    }
    said = [*notes, *remarks.on_cases(found, rows, groups)]
    if patient_names(rows) is not None:
        patients, more = by_patient(rows, patient_rule)
        found["by_patient"] = {
            "rule": patient_rule,
            "rule_in_words": RULES[patient_rule],
            **_measured(patients, patients.groups, drawing),
        }
        said += more
    found["notes"] = said
    return found


def _chosen_split(predictions: Predictions, split: str | None) -> str | None:
    splits = sorted(set(predictions.split.tolist()))
    if split is not None:
        if split not in splits:
            raise ConfigurationError(
                f"No row is of the split {split!r}. There are: {', '.join(map(repr, splits))}."
            )
        return split
    if "test" in splits:
        return "test"
    if len(splits) > 1:
        raise ConfigurationError(
            f"No row is of the split 'test'. Choose one of {', '.join(map(repr, splits))}."
        )
    return splits[0] or None if splits else None


def _refuse_several(predictions: Predictions) -> None:
    for column in ("variant", "model"):
        values = sorted(set(getattr(predictions, column).tolist()))
        if len(values) > 1:
            raise ConfigurationError(
                f"Several values of {column} cannot be measured as one: {', '.join(map(repr, values))}. "
                f"Choose one with where={{{column!r}: {values[-1]!r}}}."
            )


def _groups(rows: Predictions) -> StrArray | None:
    """What is resampled together; a case that several repeats predict belongs together with itself."""
    groups = rows.groups
    if groups is None and len(np.unique(rows.case)) < len(rows):
        return rows.case
    return groups


def _measured(rows: Predictions, groups: StrArray | None, drawing: _Drawing) -> dict[str, Any]:
    sample = Sample.of(rows, groups)
    found = figures(sample, grouped=groups is not None, **asdict(drawing))
    matrix = confusion_matrix(sample)
    per_class = {
        name: {
            "cases": int(matrix[index].sum()),
            "predicted": int(matrix[:, index].sum()),
            **{figure: values[index].as_json() for figure, values in found.per_class.items()},
        }
        for index, name in enumerate(rows.classes)
    }
    return {
        "cases": len(rows),
        "groups": None if groups is None else sample.groups,
        "overall": {name: found.overall[name].as_json() for name in OVERALL},
        "per_class": per_class,
        "confusion_matrix": {"rows": "true class", "columns": "predicted class", "counts": matrix.tolist()},
    }


def _calibration(rows: Predictions, everything: Predictions) -> dict[str, Any]:
    curve = calibration.reliability(rows.label, rows.predicted, rows.probs)
    return {
        **calibration.measured(rows),
        "bins": calibration.BINS,
        "reliability": [asdict(one) for one in curve],
        "after_temperature": folds.after_temperature(rows, everything),
    }


def _subgroups(
    rows: Predictions, groups: StrArray | None, wanted: Sequence[str] | None, drawing: _Drawing
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (*SUBGROUPS, *rows.meta) if wanted is None else wanted:
        column = rows.column(name).astype(np.str_)
        values = sorted(set(column.tolist()))
        if wanted is None and not 2 <= len(values) <= _MOST_VALUES:
            continue
        found[name] = {}
        for value in values:
            chosen = column == value
            part = _measured(rows.subset(chosen), None if groups is None else groups[chosen], drawing)
            found[name][value or "unknown"] = part
    return found
