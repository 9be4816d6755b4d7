"""Controls: what shuffled labels must score, and what can be told of an image without looking closely."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_brain.evaluation import predictions as files
from monai_brain.evaluation.predictions import Predictions
from monai_brain.files import write_json
from monai_brain.training import run_folder
from monai_brain.training.experiments import results, shortcuts
from monai_brain.training.experiments.folder import Experiment

SHORTCUT = "shortcut"


def chance(metrics: dict[str, Any]) -> dict[str, Any]:
    """What a guess would score, and whether the interval of what was measured holds it."""
    counts = np.array(metrics["by_case"]["confusion_matrix"]["counts"], dtype=np.float64)
    total = counts.sum()
    guessed = float((counts.sum(axis=1) * counts.sum(axis=0)).sum() / total**2)
    occurring = int((counts.sum(axis=1) > 0).sum())
    figure = metrics["by_case"]["overall"]["balanced_accuracy"]
    low, high = figure["low"], figure["high"]
    return {
        "chance": {"accuracy": guessed, "balanced_accuracy": 1 / occurring},
        "balanced_accuracy": figure,
        "at_chance": None if low is None else bool(low <= 1 / occurring <= high),
    }


def shortcut(experiment: Experiment, network: Predictions) -> dict[str, Any]:
    """The shortcut's figures and its comparison with the network; its predictions go to shortcut/."""
    parts = []
    for job in experiment.folds:
        part = shortcuts.predict(experiment.root / job.datalist, job.fold or 0, network.classes)
        parts.append(part.replaced(repeat=job.repeat))
    rows = files.put_together(parts)
    place = experiment.root / SHORTCUT
    files.write(rows, place / run_folder.PREDICTIONS_FILE)
    leakage = dict.fromkeys(("network", SHORTCUT), experiment.facts["leakage"])
    found = results.contested({"network": network, SHORTCUT: rows}, leakage=leakage, against=SHORTCUT)
    write_json(place / run_folder.JUDGEMENT_FILE, found["contestants"][SHORTCUT])
    return found
