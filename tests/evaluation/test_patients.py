"""From slices to patients, against a loop over the patients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_brain.errors import ConfigurationError, DataError
from monai_brain.evaluation.patients import by_patient
from monai_brain.evaluation.predictions import Predictions, put_together

CLASSES = ("a", "b", "c")


def slices(patients, label, probs, **columns):
    probs = np.asarray(probs, dtype=float)
    return Predictions(
        columns.pop("classes", CLASSES),
        [f"{i}.png" for i in range(len(patients))],
        probs / probs.sum(axis=1, keepdims=True),
        label=label,
        patient_id=patients,
        **columns,
    )


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_both_rules_equal_a_loop_over_patients(count, seed):
    draw = np.random.default_rng(seed)
    patients = np.array([f"p{n}" for n in draw.integers(0, 8, count)])
    label = draw.integers(0, 3, 8)[[int(name[1:]) for name in patients]]
    given_ = slices(patients, label, draw.integers(1, 6, (count, 3)))
    mean, notes = by_patient(given_)
    majority, _ = by_patient(given_, "majority")
    assert notes == []
    assert mean.case.tolist() == majority.case.tolist() == sorted(set(patients))
    for row, patient in enumerate(mean.case):
        own = patients == patient
        expected = given_.probs[own].mean(axis=0)
        np.testing.assert_allclose(mean.probs[row], expected, atol=1e-12)
        assert expected[mean.predicted[row]] == pytest.approx(expected.max())
        assert mean.label[row] == majority.label[row] == label[own][0]
        assert mean.meta["slices"][row] == str(own.sum())
        votes = np.bincount(given_.predicted[own], minlength=3)
        np.testing.assert_allclose(majority.probs[row], votes / own.sum(), atol=1e-12)
        best = max(range(3), key=lambda c: (votes[c], expected[c]))
        assert votes[majority.predicted[row]] == votes[best]
        assert expected[majority.predicted[row]] == pytest.approx(expected[best])


def test_a_tie_of_votes_goes_to_the_higher_mean_probability():
    given_ = slices(["p", "p"], [0, 0], [[5.1, 4.9, 0], [0, 10, 0]])
    found, _ = by_patient(given_, "majority")
    assert found.probs.tolist() == [[0.5, 0.5, 0.0]]
    assert found.column("predicted").tolist() == ["b"]


def test_a_patient_with_two_true_classes_counts_once_a_class_and_that_is_said():
    given_ = slices(["p", "p", "p", "q"], [0, 0, 1, 2], np.eye(3)[[0, 0, 1, 2]])
    found, notes = by_patient(given_)
    assert found.case.tolist() == ["p (a)", "p (b)", "q"]
    assert found.label.tolist() == [0, 1, 2]
    assert found.patient_id.tolist() == ["p", "p", "q"]
    assert notes == ["Patients with slices of more than one true class count once a class: p."]


def test_slices_of_different_folds_and_variants_are_not_put_together():
    one = slices(["p", "p"], [0, 0], np.eye(3)[[0, 1]], fold=0)
    both = put_together([one, one.replaced(fold=1), one.replaced(variant="A")])
    found, _ = by_patient(both)
    assert len(found) == 3
    assert sorted(zip(found.fold.tolist(), found.variant.tolist(), strict=True)) == [
        (0, ""),
        (0, "A"),
        (1, ""),
    ]


def test_a_group_stands_in_for_the_patient_and_a_case_for_both():
    given_ = slices(["", "", "", ""], [0, 0, 0, 0], np.ones((4, 3)), group=["g", "g", "", ""])
    found, _ = by_patient(given_)
    assert found.case.tolist() == ["case:2.png", "case:3.png", "g"]


def test_a_threshold_is_said_not_to_apply():
    given_ = slices(["p"], [0], [[0.9, 0.1, 0.0]], predicted=["b"], rule="threshold")
    found, notes = by_patient(given_)
    assert found.column("predicted").tolist() == ["a"] and found.rule.tolist() == ["argmax"]
    assert "threshold does not apply" in notes[0]
    assert by_patient(given_, "majority")[0].column("predicted").tolist() == ["b"]


def test_what_cannot_be_put_together_is_refused():
    with pytest.raises(ConfigurationError, match="Known: mean, majority"):
        by_patient(slices(["p"], [0], np.ones((1, 3))), "median")
    with pytest.raises(DataError, match="patient_id"):
        by_patient(slices([""], [0], np.ones((1, 3))))
