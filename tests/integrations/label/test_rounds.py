"""Who trains and who judges: by patient, each class on each side, and never moved between rounds."""

from __future__ import annotations

import math

import pytest

from monai_brain.data import schema
from monai_brain.errors import ConfigurationError
from monai_brain.integrations.label.rounds import HELD_OUT, SHARES, TRAIN, VALIDATION, datalist, score, sides

CLASSES = ("glioma", "no_tumor")


def labelled(patients: range, images: int = 2) -> list[dict]:
    return [
        {
            "image": f"/{patient}_{image}.png",
            "class_name": CLASSES[patient % 2],
            "patient_id": f"p{patient:03d}",
        }
        for patient in patients
        for image in range(images)
    ]


def test_each_class_has_its_share_on_each_side():
    items = labelled(range(40))
    placed = sides({}, items)
    for number in (0, 1):
        own = [placed[f"p{patient:03d}"] for patient in range(number, 40, 2)]
        assert {side: own.count(side) for side in SHARES} == {TRAIN: 12, HELD_OUT: 4, VALIDATION: 4}


def test_five_patients_of_a_class_are_enough_for_every_side():
    own = list(sides({}, labelled(range(0, 10, 2))).values())
    assert {side: own.count(side) for side in SHARES} == {TRAIN: 3, HELD_OUT: 1, VALIDATION: 1}


def test_no_patient_changes_sides_when_more_are_labelled():
    first = sides({}, labelled(range(10)))
    second = sides(first, labelled(range(60)))
    assert {name: second[name] for name in first} == first
    own = [second[f"p{patient:03d}"] for patient in range(0, 60, 2)]
    assert {side: own.count(side) for side in SHARES} == {TRAIN: 18, HELD_OUT: 6, VALIDATION: 6}


def test_a_patient_stays_where_it_was_when_its_label_changes():
    first = sides({}, labelled(range(10)))
    turned = [item | {"class_name": CLASSES[0]} for item in labelled(range(10))]
    assert sides(first, turned) == first


def test_the_datalist_of_a_round_is_one_and_keeps_each_patient_together(tmp_path):
    items = labelled(range(20))
    placed = sides({}, items)
    content = schema.checked(datalist("tiny", CLASSES, items, placed), tmp_path, "round")
    found = {
        side: {
            item["patient_id"]
            for item in content["training"]
            if (item["fold"], item["validates"])
            == ((0, []) if side == HELD_OUT else (1, [0] * (side == VALIDATION)))
        }
        for side in SHARES
    }
    assert sum(map(len, found.values())) == 20
    assert all(placed[name] == side for side, names in found.items() for name in names)


@pytest.mark.parametrize("patients", [range(1), range(4), range(0, 20, 2)])
def test_too_few_labels_are_refused(patients):
    items = labelled(patients)
    with pytest.raises(ConfigurationError, match="too few to train tiny"):
        datalist("tiny", CLASSES, items, sides({}, items))


def test_the_score_is_the_mean_recall_and_the_mean_log_loss():
    truth = ["glioma", "glioma", "glioma", "no_tumor"]
    given = [
        {"glioma": 0.9, "no_tumor": 0.1},
        {"glioma": 0.6, "no_tumor": 0.4},
        {"glioma": 0.2, "no_tumor": 0.8},
        {"glioma": 0.5, "no_tumor": 0.5},
    ]
    found = score(CLASSES, truth, given, 3)
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 0) / 2)
    assert found.log_loss == pytest.approx(-sum(map(math.log, (0.9, 0.6, 0.2, 0.5))) / 4)
    assert (found.images, found.patients) == (4, 3)


def test_an_image_without_an_answer_counts_as_wrong():
    assert score(CLASSES, ["glioma"], [{}], 1).balanced_accuracy == 0
    with pytest.raises(ConfigurationError, match="no labelled image of a held-out patient"):
        score(CLASSES, [], [], 0)
