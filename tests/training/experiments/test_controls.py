"""Shuffled labels score chance by patient and are found out by image; the shortcut sees what it should."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from monai_brain.data import datalist, splits
from monai_brain.evaluation import predictions
from monai_brain.files import read_json
from monai_brain.training.experiments import partitions, shortcuts
from monai_brain.training.experiments.cross_validation import cross_validate
from tests.training.experiments.conftest import SETTINGS


def test_labels_are_shuffled_among_groups_and_none_is_lost(workplace):
    content = partitions.named(workplace / "datalist.json")
    dealt = partitions.shuffled(content, seed=1)
    of = defaultdict(set)
    for item in dealt["training"]:
        of[item["patient_id"]].add(item["class_name"])
    assert all(len(names) == 1 for names in of.values())
    before = {item["patient_id"]: item["class_name"] for item in content["training"]}
    assert sorted(before.values()) == sorted(next(iter(names)) for names in of.values())
    assert any(before[patient] not in names for patient, names in of.items())
    assert [item["image"] for item in dealt["training"]] == [item["image"] for item in content["training"]]
    datalist.read(dealt)  # label and class name still say the same
    assert dealt["training"] == partitions.shuffled(content, seed=1)["training"]


def test_shuffled_labels_are_judged_against_chance(workplace, tmp_path):
    root = cross_validate(
        workplace / "tiny",
        workplace / "datalist.json",
        tmp_path / "cv",
        folds=3,
        shuffle_labels=True,
        **SETTINGS,
    )
    metrics = read_json(root / "metrics.json")
    control = metrics["controls"]["shuffled_labels"]
    assert control["chance"]["balanced_accuracy"] == 0.25
    counts = np.array(metrics["by_case"]["confusion_matrix"]["counts"])
    guess = (counts.sum(0) / counts.sum()) @ (counts.sum(1) / counts.sum())
    assert control["chance"]["accuracy"] == pytest.approx(guess)
    assert "dealt anew" in metrics["notes"][0]
    assert read_json(root / "experiment.json")["controls"] == ["shuffled labels"]


def test_the_features_are_what_they_are_called():
    image = np.zeros((20, 10))
    image[:10] = 100.0
    found = dict(zip(shortcuts.FEATURES, shortcuts.features(image), strict=True))
    assert found["mean"] == 50
    assert found["standard_deviation"] == 50
    assert found["percentile_99"] == 100
    assert (found["height"], found["width"]) == (20, 10)
    assert found["zero_share"] == 0.5
    sharp = shortcuts.features(np.indices((20, 20)).sum(0) % 2 * 255.0)[-1]
    assert sharp > 0.5 > found["high_frequency_energy"] > 0
    assert np.isfinite(shortcuts.features(np.zeros((5, 5)))).all()


def test_a_source_that_gives_the_class_away_is_found(tmp_path):
    """Noise in both classes, but one collection is larger and brighter: the regression is always right."""
    import cv2

    generator = np.random.default_rng(0)
    items = []
    for number in range(40):
        bright = number % 2
        size = 40 + 8 * bright
        image = generator.integers(0, 120, (size, size)) + 60 * bright
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), image.astype(np.uint8))
        items.append(
            {"image": str(path), "class_name": ("glioma", "no_tumor")[bright], "patient_id": f"p{number}"}
        )
    content = {"schema_version": 1, "labels": ["glioma", "no_tumor"], "training": items}
    path = datalist.write(splits.split(content, "patient", folds=2), tmp_path / "list.json")
    rows = shortcuts.predict(path, 0, ("no_tumor", "meningioma", "glioma"))
    assert len(rows) == 20
    assert (rows.predicted == rows.label).all()
    assert (rows.probs[:, 1] < 1e-6).all()  # a class that no training image shows


def test_the_shortcut_stands_beside_the_network(crossed):
    metrics = read_json(crossed / "metrics.json")
    rows = predictions.read(crossed / "shortcut" / "predictions.csv")
    assert sorted(rows.case) == sorted(predictions.read(crossed / "predictions.csv").where(split="test").case)
    accuracy = metrics["controls"]["shortcut"]["by_case"]["overall"]["accuracy"]["value"]
    assert accuracy == pytest.approx(float(np.mean(rows.label == rows.predicted)))
    (pair,) = metrics["controls"]["shortcut_comparison"]["pairs"]
    assert (pair["first"], pair["second"]) == ("network", "shortcut")
