"""From slices to patients: one prediction a patient, made of all slices of that patient."""

from __future__ import annotations

import numpy as np

from monai_brain.errors import ConfigurationError, DataError
from monai_brain.evaluation.prediction_columns import NONE, NUMBERS, TEXTS, StrArray
from monai_brain.evaluation.prediction_rows import Predictions

RULES = {
    "mean": "the mean of the probabilities over a patient's slices, then the most probable class",
    "majority": "the class most of a patient's slices are given; a tie goes to the higher mean probability",
}
PARTED = "Patients with slices of more than one true class count once a class: {names}."


def by_patient(predictions: Predictions, rule: str = "mean") -> tuple[Predictions, list[str]]:
    """One row a patient and true class, with notes in words on what a reader must know.

    A patient is the patient_id, else the group. Slices of different folds, repeats, variants or models are
    never put together. Under "majority" the probabilities are the shares of the slices' predicted classes.

    Raises:
        ConfigurationError: The rule is unknown.
        DataError: No row names a patient or group.
    """
    if rule not in RULES:
        raise ConfigurationError(f"Unknown rule {rule!r} from slices to patients. Known: {', '.join(RULES)}.")
    patients = patient_names(predictions)
    if patients is None:
        raise DataError("No row names its patient. Fill the column patient_id or group.")
    keys = np.array(
        list(zip(patients, *(getattr(predictions, n) for n in (*NUMBERS, "variant", "model")), strict=True)),
        dtype=np.str_,
    )
    keys = np.column_stack([keys, predictions.label.astype(np.str_)])
    _, first, of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    of = of.reshape(-1)  # numpy 2.0 gave it a second axis
    slices = np.bincount(of)
    mean = _mean_by(of, predictions.probs)
    probs = mean
    best = mean.argmax(axis=1)
    if rule == "majority":
        votes = np.eye(len(predictions.classes))[predictions.predicted]
        probs = _mean_by(of, votes)
        leading = probs == probs.max(axis=1, keepdims=True)
        best = np.where(leading, mean, -1.0).argmax(axis=1)
    names, parted = _names(patients[first], predictions, first)
    rows = Predictions(
        predictions.classes,
        names,
        probs,
        label=predictions.label[first],
        predicted=best,
        meta={"slices": slices},
        **{
            name: getattr(predictions, name)[first]
            for name in TEXTS + NUMBERS
            if name not in ("image", "plane", "rule")
        },
    )
    notes = []
    if parted:
        notes.append(PARTED.format(names=", ".join(parted[:5]) + (", ..." if len(parted) > 5 else "")))
    if (predictions.rule == "threshold").any() and rule == "mean":
        notes.append("By patient the most probable class counts; the slices' threshold does not apply there.")
    return rows, notes


def patient_names(predictions: Predictions) -> StrArray | None:
    """The patient of each row: patient_id, else group, else the case; None where nothing is told."""
    known = np.where(predictions.patient_id != "", predictions.patient_id, predictions.group)
    if not (known != "").any():
        return None
    return np.where(known != "", known, np.char.add("case:", predictions.case))


def _mean_by(of: np.ndarray[tuple[int], np.dtype[np.intp]], values: np.ndarray) -> np.ndarray:
    sums = np.column_stack([np.bincount(of, weights=column) for column in values.T])
    return sums / np.bincount(of)[:, None]


def _names(patients: StrArray, predictions: Predictions, first: np.ndarray) -> tuple[list[str], list[str]]:
    """The rows' names, with the true class where a patient has several, and the names of such patients."""
    labels: dict[str, set[int]] = {}
    for patient, label in zip(patients, predictions.label[first], strict=True):
        labels.setdefault(str(patient), set()).add(int(label))
    parted = sorted(patient for patient, found in labels.items() if len(found) > 1)
    several = set(parted)
    names = [
        f"{patient} ({predictions.class_name(label) if label != NONE else 'no label'})"
        if patient in several
        else patient
        for patient, label in zip(patients.tolist(), predictions.label[first].tolist(), strict=True)
    ]
    return names, parted
