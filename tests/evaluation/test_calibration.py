"""Calibration against scikit-learn, brute force and a temperature that is known."""

import numpy as np
import pytest
from scipy import special
from sklearn import calibration as sk_calibration
from sklearn import metrics as oracle

from monai_brain.errors import DataError
from monai_brain.evaluation import calibration
from monai_brain.evaluation.predictions import Predictions


def drawn(count=4000, classes=3, temperature=1.0, seed=0, **columns):
    """Cases whose labels are drawn from softmax(logits / temperature): that temperature calibrates them."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=3, size=(count, classes))
    truth = special.softmax(logits / temperature, axis=1)
    label = (truth.cumsum(axis=1) < draw.random((count, 1))).sum(axis=1).clip(max=classes - 1)
    return Predictions(
        [f"c{i}" for i in range(classes)],
        [f"{i}" for i in range(count)],
        special.softmax(logits, axis=1),
        logits=logits,
        label=label,
        **columns,
    )


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_expected_calibration_error_equals_a_loop_over_the_bins(bins):
    given = drawn(300, temperature=2)
    confidence, right = given.probs.max(axis=1), given.predicted == given.label
    expected = 0.0
    for number in range(bins):
        own = (confidence > number / bins) & (confidence <= (number + 1) / bins)
        if own.any():
            expected += own.mean() * abs(confidence[own].mean() - right[own].mean())
    found = calibration.expected_calibration_error(given.label, given.predicted, given.probs, bins)
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_reliability_curve_is_scikit_learns():
    given = drawn(500, temperature=2)
    curve = calibration.reliability(given.label, given.predicted, given.probs, 10)
    right, confidence = sk_calibration.calibration_curve(
        given.predicted == given.label, given.probs.max(axis=1), n_bins=10
    )
    filled = [one for one in curve if one.cases]
    assert [one.accuracy for one in filled] == pytest.approx(right.tolist())
    assert [one.confidence for one in filled] == pytest.approx(confidence.tolist())
    assert sum(one.cases for one in curve) == 500
    assert curve[0].cases == 0 and curve[0].accuracy is None


def test_a_sure_case_falls_into_the_last_bin():
    found = calibration.reliability(np.array([0]), np.array([0]), np.array([[1.0, 0.0]]), 10)
    assert found[-1].cases == 1 and found[-1].accuracy == found[-1].confidence == 1.0
    assert calibration.expected_calibration_error(np.array([0]), np.array([0]), np.array([[1.0, 0.0]])) == 0.0


def test_brier_is_scikit_learns_for_two_classes_and_the_sum_of_squares_for_more():
    two, three = drawn(200, 2), drawn(200, 3)
    expected = oracle.brier_score_loss(two.label, two.probs[:, 1])
    assert calibration.brier(two.label, two.probs) == pytest.approx(expected, abs=1e-12)
    rows = zip(three.label, three.probs, strict=True)
    squares = [sum((p - (c == label)) ** 2 for c, p in enumerate(probs)) for label, probs in rows]
    assert calibration.brier(three.label, three.probs) == pytest.approx(np.mean(squares), abs=1e-12)


def test_negative_log_likelihood_is_scikit_learns_log_loss():
    given = drawn(200)
    expected = oracle.log_loss(given.label, special.softmax(given.logits / 2, axis=1), labels=[0, 1, 2])
    assert calibration.negative_log_likelihood(given.label, given.logits, 2) == pytest.approx(
        expected, abs=1e-9
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("logits", [True, False])
def test_the_fitted_temperature_is_the_one_the_labels_were_drawn_with(temperature, logits):
    given = drawn(20000, temperature=temperature)
    given = given if logits else given.replaced(logits=None)
    found = calibration.fit_temperature(given)
    assert found.value == pytest.approx(temperature, rel=0.05)
    assert found.loss_after <= found.loss_before and not found.at_bound
    grid = [calibration.negative_log_likelihood(given.label, calibration.logits_of(given), t) for t in (
        found.value * 0.99, found.value * 1.01)]  # fmt: skip
    assert found.loss_after < min(grid)
    scaled = calibration.apply_temperature(given, found.value)
    assert scaled.predicted.tolist() == given.predicted.tolist()
    before, after = (
        calibration.expected_calibration_error(one.label, one.predicted, one.probs) for one in (given, scaled)
    )
    assert after < 0.02 and (temperature == 1 or after < before)


def test_a_temperature_is_fitted_on_validation_cases_alone():
    given = drawn(2000, temperature=2, split=["validation", "test"] * 1000)
    found = calibration.fit_temperature(given)
    assert found.cases == 1000
    assert found == calibration.fit_temperature(given.where(split="validation"))
    with pytest.raises(DataError, match="hold the splits \\['test'\\]"):
        calibration.fit_temperature(given.where(split="test"))
    with pytest.raises(DataError, match="hold no label"):
        calibration.fit_temperature(given.replaced(label=None, split=""))


def test_cases_that_are_all_right_push_the_temperature_to_its_bound():
    found = calibration.fit_temperature(Predictions(("a", "b"), ["x"], [[0.9, 0.1]], label=[0]))
    assert found.at_bound and found.value == calibration.TEMPERATURES[0]
    assert set(found.as_json()) == {"value", "cases", "loss_before", "loss_after", "at_bound"}


def test_a_probability_of_nought_has_a_logarithm():
    given = Predictions(("a", "b"), ["x", "y"], [[1.0, 0.0], [0.4, 0.6]], label=[1, 1])
    assert np.isfinite(calibration.fit_temperature(given).loss_after)
