"""Phantoms: one seed one picture, balanced, grouped, and no class without looking at shapes."""

from __future__ import annotations

import hashlib
import time
from collections import Counter

import cv2
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from monai_brain.data import datalist, phantoms
from monai_brain.data.reader import read_slice
from monai_brain.errors import ConfigurationError

KINDS = {"brain": phantoms.brain, "mammogram": phantoms.mammogram}


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_one_set_and_another_seed_another(kind):
    first, again, other = (KINDS[kind](12, seed, 32) for seed in (3, 3, 4))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert (a.class_name, a.patient_id, a.tumor_box) == (b.class_name, b.patient_id, b.tumor_box)
    assert not any(np.array_equal(a.image, b.image) for a in first for b in other)


@pytest.mark.parametrize(("kind", "n"), [("brain", 4), ("brain", 41), ("mammogram", 2), ("mammogram", 33)])
def test_classes_are_balanced_and_patients_have_one_class(kind, n):
    made = KINDS[kind](n, 0, 16)
    counts = Counter(phantom.class_name for phantom in made)
    assert sum(counts.values()) == n
    assert max(counts.values()) - min(counts.values()) <= 1
    classes = {}
    for phantom in made:
        classes.setdefault(phantom.patient_id, set()).add(phantom.class_name)
        assert phantom.image.shape == (16, 16)
        assert phantom.image.dtype == np.uint8
    assert all(len(found) == 1 for found in classes.values())


def test_patients_have_several_slices_and_there_are_enough_of_them():
    slices = Counter(phantom.patient_id for phantom in phantoms.brain(200, 0, 16))
    assert 40 <= len(slices) <= 100
    assert set(slices.values()) >= {2, 3, 4, 5}


def test_hundreds_take_seconds():
    start = time.process_time()
    phantoms.brain(240, 0, 128)
    assert time.process_time() - start < 6


def features(image):
    return np.r_[image.mean(), image.std(), np.histogram(image, 32, (0, 256))[0] / image.size]


@pytest.mark.parametrize(("kind", "ceiling"), [("brain", 0.40), ("mammogram", 0.60)])
def test_brightness_and_histogram_do_not_tell_the_classes_apart(kind, ceiling):
    made = KINDS[kind](400, 1, 64)
    x = np.array([features(phantom.image) for phantom in made])
    y = [phantom.class_name for phantom in made]
    groups = [phantom.patient_id for phantom in made]
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    for model in (linear, RandomForestClassifier(100, random_state=0)):
        scores = cross_val_score(model, x, y, groups=groups, cv=GroupKFold(5))
        assert scores.mean() <= ceiling, type(model).__name__


def test_the_place_of_the_brightness_tells_mammograms_apart():
    made = phantoms.mammogram(200, 1, 64)
    x = np.array([cv2.resize(p.image, (16, 16), interpolation=cv2.INTER_AREA).ravel() for p in made])
    groups = [phantom.patient_id for phantom in made]
    forest = RandomForestClassifier(100, random_state=0)
    scores = cross_val_score(forest, x, [p.class_name for p in made], groups=groups, cv=GroupKFold(5))
    assert scores.mean() > 0.9


def test_the_tumours_box_holds_what_was_drawn():
    """Where the classes put it, and that it differs from its surroundings."""
    for phantom in phantoms.brain(60, 2, 96):
        if phantom.class_name == "no_tumor":
            assert phantom.tumor_box == ""
            continue
        x, y, width, height = map(float, phantom.tumor_box.split())
        assert 0 < width < 0.45
        assert 0 < height < 0.45
        if phantom.class_name == "pituitary":
            assert abs(x - 0.5) < 0.2
            assert y > 0.55
        if phantom.class_name == "meningioma":
            assert np.hypot(x - 0.5, y - 0.5) > 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_written_with_a_datalist(tmp_path, kind):
    path = phantoms.write(kind, tmp_path / "out", 24, seed=5, size=32)
    assert path == (tmp_path / "out" / "datalist.json")
    content = datalist.read(path)
    assert content["labels"] == sorted(content["labels"])
    made = KINDS[kind](24, 5, 32)
    for item, phantom in zip(content["training"], made, strict=True):
        image, meta = read_slice(item["image"])
        np.testing.assert_array_equal(image, phantom.image)
        assert meta["stored_dtype"] == "uint8"
        assert item["class_name"] == phantom.class_name
        assert item["patient_id"] == item["group"] == phantom.patient_id
        assert item["source"] == "phantom"
        with open(item["image"], "rb") as stream:
            assert item["sha256"] == hashlib.sha256(stream.read()).hexdigest()


def test_nonsense_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="brain, mammogram"):
        phantoms.write("knee", tmp_path, 8)
    with pytest.raises(ConfigurationError, match="n is 3"):
        phantoms.brain(3)
