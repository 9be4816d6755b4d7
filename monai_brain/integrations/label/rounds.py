"""A round of training on the labels: who trains, who chooses the weights, who judges, by patient."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from monai_brain.errors import ConfigurationError
from monai_brain.integrations.label.served import Score

TRAIN, VALIDATION, HELD_OUT = "train", "validation", "held_out"
SHARES = {TRAIN: 0.6, HELD_OUT: 0.2, VALIDATION: 0.2}
Labelled = dict[str, Any]  # image, class_name, patient_id, and frame where one is chosen


def sides(known: Mapping[str, str], labelled: Iterable[Labelled], seed: int = 0) -> dict[str, str]:
    """The side of each patient: as it was, and for new ones so that each class has its share on each side.

    A patient never changes sides: what a model was judged on in one round is never trained on in another.

    Args:
        known: The sides of earlier rounds.
        labelled: The labelled images.
        seed: Of the order in which new patients are placed.
    """
    found = dict(known)
    classes: dict[str, str] = {}
    for item in labelled:
        classes.setdefault(str(item["patient_id"]), str(item["class_name"]))
    counts: dict[str, dict[str, int]] = {}
    for patient, class_name in classes.items():
        if patient in found:
            _count(counts, class_name, found[patient])
    for patient in sorted(set(classes) - set(found), key=lambda name: _drawn(name, seed)):
        class_name = classes[patient]
        there = counts.setdefault(class_name, dict.fromkeys(SHARES, 0))
        total = sum(there.values()) + 1
        found[patient] = max(SHARES, key=lambda side: SHARES[side] * total - there[side])
        _count(counts, class_name, found[patient])
    return found


def datalist(
    name: str, labels: Sequence[str], labelled: Sequence[Labelled], placed: Mapping[str, str]
) -> dict[str, Any]:
    """The datalist of a round; fold 0 tests the patients that are held out.

    Raises:
        ConfigurationError: A side has no image, or one class alone is labelled.
    """
    items = []
    for item in labelled:
        side = placed[str(item["patient_id"])]
        fold, validates = (0 if side == HELD_OUT else 1), ([0] if side == VALIDATION else [])
        class_name = str(item["class_name"])
        label = {"label": list(labels).index(class_name), "class_name": class_name}
        items.append({**item, **label, "fold": fold, "validates": validates})
    missing = [side for side in SHARES if not any(placed[str(item["patient_id"])] == side for item in items)]
    if missing or len({item["class_name"] for item in items}) < 2:
        raise ConfigurationError(
            f"{len(items)} labelled images are too few to train {name}: training, validation and held-out "
            "part each need patients, and two classes are needed. Label more, about five patients a class."
        )
    head = {"schema_version": 1, "name": name, "labels": list(labels), "scheme": "patient", "folds": 2}
    return {**head, "seed": 0, "leakage": None, "training": items, "testing": []}


def score(
    labels: Sequence[str], truth: Sequence[str], probabilities: Sequence[Mapping[str, float]], patients: int
) -> Score:
    """How well the probabilities answer; an image without an answer has none of them and counts as wrong.

    Raises:
        ConfigurationError: There is no image to judge by.
    """
    if not truth:
        raise ConfigurationError("There is no labelled image of a held-out patient to judge by. Label more.")
    given = np.array([[found.get(name, 0.0) for name in labels] for found in probabilities])
    right = np.array([list(labels).index(name) for name in truth])
    answered = np.where(given.sum(axis=1) > 0, given.argmax(axis=1), -1)
    recalls = [float((answered[right == index] == index).mean()) for index in np.unique(right)]
    chosen = np.clip(given[np.arange(len(right)), right], 1e-7, 1.0)
    return Score(float(np.mean(recalls)), float(-np.log(chosen).mean()), len(right), patients)


def _count(counts: dict[str, dict[str, int]], class_name: str, side: str) -> None:
    counts.setdefault(class_name, dict.fromkeys(SHARES, 0))[side] += 1


def _drawn(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()
