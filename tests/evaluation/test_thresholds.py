"""Thresholds for an aim, against trying every one."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monai_brain.errors import ConfigurationError, DataError, UnknownNameError
from monai_brain.evaluation import thresholds
from monai_brain.evaluation.predictions import Predictions


def scored(positive, score, **columns):
    score = np.asarray(score, dtype=float)
    return Predictions(
        ("complete", "incomplete"),
        [f"{i}" for i in range(len(score))],
        np.column_stack([1 - score, score]),
        label=np.asarray(positive, dtype=int),
        **columns,
    )


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=2, max_size=40),
    st.sampled_from(["sensitivity", "specificity"]),
    st.sampled_from([0.05, 0.5, 0.9, 0.95, 1.0]),
)
@example([(True, 12), (False, 12)], "specificity", 1.0)
@example([(True, 0), (False, 0)], "sensitivity", 1.0)
@settings(max_examples=200, deadline=None)
def test_the_aim_is_reached_at_the_least_cost(cases, measure, value):
    positive, score = (np.array(column) for column in zip(*cases, strict=True))
    score = score / 12
    if positive.all() or not positive.any():
        return
    found = thresholds.choose_threshold(scored(positive, score), f"incomplete:{measure}={value}")
    tried = [*np.unique(score), 2.0]
    rates = [((score[positive] >= t).mean(), 1 - (score[~positive] >= t).mean()) for t in tried]
    if measure == "sensitivity":
        best = max(specificity for sensitivity, specificity in rates if sensitivity >= value)
        assert found.sensitivity >= value
        assert found.false_alarm_rate == pytest.approx(1 - best)
    else:
        best = max(sensitivity for sensitivity, specificity in rates if specificity >= value - 1e-9)
        assert 1 - found.false_alarm_rate >= value - 1e-9
        assert found.sensitivity == pytest.approx(best)
    assert (found.positives, found.negatives) == (positive.sum(), (~positive).sum())
    json.dumps(found.as_json(), allow_nan=False)


def test_a_threshold_stands_midway_between_two_cases():
    rows = scored([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.8])
    assert thresholds.choose_threshold(rows, "incomplete:sensitivity=1").value == pytest.approx(0.45)
    assert thresholds.choose_threshold(rows, "incomplete:sensitivity=0.5").value == pytest.approx(0.7)
    assert thresholds.choose_threshold(rows, "incomplete:specificity=1").value == pytest.approx(0.45)


def test_a_threshold_is_chosen_on_validation_and_applied_to_test():
    rows = scored(
        [0, 1, 0, 1, 0, 1], [0.2, 0.3, 0.1, 0.9, 0.4, 0.35], split=["validation"] * 4 + ["test"] * 2
    )
    found = thresholds.choose_threshold(rows, "incomplete:sensitivity=0.95")
    assert found.value == pytest.approx(0.25) and found.false_alarm_rate == 0
    test = rows.where(split="test")
    with pytest.raises(DataError, match="validation"):
        thresholds.choose_threshold(test, "incomplete:sensitivity=0.95")
    applied = thresholds.apply_threshold(test, found.class_name, found.value)
    assert test.column("predicted").tolist() == ["complete", "complete"]
    assert applied.column("predicted").tolist() == ["incomplete", "incomplete"]
    assert set(applied.rule) == {"threshold"}


def test_below_the_threshold_the_best_other_class_is_given():
    rows = Predictions(("a", "b", "c"), ["x", "y"], [[0.5, 0.1, 0.4], [0.9, 0.1, 0.0]])
    found = thresholds.apply_threshold(rows, "a", 0.6)
    assert found.column("predicted").tolist() == ["c", "a"]
    with pytest.raises(UnknownNameError):
        thresholds.apply_threshold(rows, "d", 0.6)


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        ("incomplete", ConfigurationError, "is no aim"),
        ("incomplete:sensitivity=1.2", ConfigurationError, "is no aim"),
        ("incomplete:sensitivity=0", ConfigurationError, "is no aim"),
        ("incomplete:sensitivity=.", ConfigurationError, "is no aim"),
        ("incomplet:sensitivity=0.9", UnknownNameError, "Did you mean"),
        ("incomplete:sensitvity=0.9", UnknownNameError, "Did you mean 'sensitivity'"),
    ],
)
def test_what_is_no_aim_is_refused(text, error, reason):
    with pytest.raises(error, match=reason):
        thresholds.parse_aim(text, ("complete", "incomplete"))


def test_an_aim_is_written_as_it_is_read():
    aim = thresholds.parse_aim("no: tumor:specificity=9e-1", ("no: tumor", "b"))
    assert aim.class_name == "no: tumor" and str(aim) == "no: tumor:specificity=0.9"


def test_an_aim_needs_cases_on_both_sides():
    with pytest.raises(DataError, match="there are 2 and 0"):
        thresholds.choose_threshold(scored([1, 1], [0.2, 0.4]), "incomplete:sensitivity=0.95")
