"""What a reader must know about figures, in words: leakage, few groups, classes without a case."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_brain.evaluation.intervals import FEW_GROUPS
from monai_brain.evaluation.patients import patient_names
from monai_brain.evaluation.prediction_columns import StrArray
from monai_brain.evaluation.prediction_rows import Predictions

RECORD_WISE = "record-wise"


def leakage_told(rows: Predictions, everything: Predictions) -> str | None:
    """How patients leak between the sides of the split, as the predictions themselves tell it; else None.

    A column meta_leakage is believed. Without it, "record-wise" is found where a patient is tested in two
    folds of one repeat, or stands in another split of the fold it is tested in.
    """
    marked = sorted(set(rows.meta.get("leakage", np.array([""])).tolist()) - {""})
    if marked:
        return ", ".join(marked)
    patients, others = patient_names(rows), patient_names(everything)
    if patients is None or others is None:
        return None
    tested: dict[tuple[str, int], int] = {}
    for patient, repeat, fold in zip(
        patients.tolist(), rows.repeat.tolist(), rows.fold.tolist(), strict=True
    ):
        if tested.setdefault((patient, repeat), fold) != fold:
            return RECORD_WISE
    elsewhere = everything.split != rows.split[0]
    elsewhere &= (everything.model == rows.model[0]) & (everything.variant == rows.variant[0])
    for patient, repeat, fold in zip(
        others[elsewhere].tolist(),
        everything.repeat[elsewhere].tolist(),
        everything.fold[elsewhere].tolist(),
        strict=True,
    ):
        if tested.get((patient, repeat)) == fold:
            return RECORD_WISE
    return None


def on_cases(found: dict[str, Any], rows: Predictions, groups: StrArray | None) -> list[str]:
    """Notes on the figures of metrics.json and the rows they were made of."""
    cases = found["cases"]
    notes = []
    if found["leakage"]:
        notes.append(
            f"Leakage: the data were split {found['leakage']}, so patients of the measured cases were also "
            "trained on. The figures are too good; no such figure holds for new patients."
        )
    notes += _on_groups(cases["groups"], rows, groups)
    if cases["unlabelled"]:
        notes.append(f"{cases['unlabelled']} cases without a label are left out.")
    if cases["abstained"]:
        answered = cases["measured"] + cases["abstained"]
        notes.append(
            f"The model abstained from {cases['abstained']} of {answered} cases; figures are of the others."
        )
    counts = np.bincount(rows.label, minlength=len(rows.classes))
    absent = [name for name, count in zip(rows.classes, counts, strict=True) if count == 0]
    if absent:
        notes.append(
            f"No case is {' or '.join(absent)}: AUROC is not defined there, nor is its macro mean; balanced "
            "accuracy leaves such a class out, and the other macro means do unless it is predicted."
        )
    if found["by_fold"] is not None:
        notes.append(
            "Cases of all folds are pooled; AUROC and average precision then compare probabilities of "
            "different models. The means over folds stand under by_fold."
        )
    if "threshold" in found["rule"]:
        notes.append("Some classes were chosen by a threshold, not as the most probable.")
    overall = found["by_case"]["overall"].values()
    if any(figure["value"] is not None and figure["low"] is None for figure in overall):
        notes.append(
            "A figure without an interval did not change in any resample, or in too few it was defined."
        )
    return notes


def _on_groups(count: int | None, rows: Predictions, groups: StrArray | None) -> list[str]:
    if groups is None or count is None:
        return [
            "No patient or group is told: cases are taken as independent. If several are of one patient, the "
            "intervals are too short, and there are no figures by patient."
        ]
    notes = []
    if rows.groups is None:
        notes.append("No patient or group is told: the repeats of one case are drawn together, cases apart.")
    if count < FEW_GROUPS:
        notes.append(f"Only {count} groups: below {FEW_GROUPS}, intervals may be too short.")
    return notes
