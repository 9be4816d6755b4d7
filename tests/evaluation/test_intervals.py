"""Intervals: against scipy where it has them, and by how often they cover a truth that is known."""

import numpy as np
import pytest
from scipy import stats

from monai_brain.evaluation import intervals, metrics


def clustered(groups, truth, correlation, seed, size=13):
    """A two-class sample whose accuracy is beta-binomial by group, about 13 cases each."""
    draw = np.random.default_rng(seed)
    sizes = np.maximum(1, draw.poisson(size, groups))
    scale = (1 - correlation) / correlation
    shares = draw.beta(truth * scale, (1 - truth) * scale, groups)
    group = np.repeat(np.arange(groups), sizes)
    wrong = (draw.random(len(group)) > shares[group]).astype(np.int64)
    return metrics.Sample(np.zeros_like(wrong), wrong, np.full((len(wrong), 2), 0.5), group)


def coverage(groups, trials, *, grouped, truth=0.9, correlation=0.3):
    covered = 0
    for seed in range(trials):
        sample = clustered(groups, truth, correlation, seed)
        found = intervals.figures(
            sample, grouped=grouped, seed=seed, draws=2000 if grouped else 2, ranking=False
        )
        accuracy = found.overall["accuracy"]
        covered += accuracy.low <= truth <= accuracy.high
    print(f"{groups} groups, {'grouped' if grouped else 'plain'}: {covered / trials:.3f}")
    return covered / trials


@pytest.mark.slow
def test_group_intervals_cover_the_truth_and_plain_ones_do_not():
    assert 0.92 <= coverage(209, 2000, grouped=True) <= 0.97
    assert coverage(209, 2000, grouped=False) < 0.70


@pytest.mark.slow
def test_group_intervals_hold_with_few_groups():
    assert 0.87 <= coverage(47, 2000, grouped=True) <= 0.97
    assert 0.87 <= coverage(20, 1000, grouped=True) <= 0.97


def test_group_intervals_cover_more_than_plain_ones():
    assert coverage(60, 60, grouped=True) >= 0.85
    assert coverage(60, 60, grouped=False) <= 0.80


def test_bca_is_scipys_once_the_level_is_widened():
    values = np.random.default_rng(0).exponential(size=40)
    reach = stats.t.ppf(0.975, 39) * np.sqrt(40 / 39)
    expected = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=5000,
        confidence_level=2 * stats.norm.cdf(reach) - 1,
        method="BCa",
        random_state=np.random.default_rng(1),
    )
    without = (values.sum() - values) / 39
    found = intervals.bca(values.mean(), expected.bootstrap_distribution, without, 40)
    ends = expected.confidence_interval
    assert found == pytest.approx((ends.low, ends.high), abs=1e-9)


@pytest.mark.parametrize(("right", "trials"), [(0, 5), (5, 5), (3, 10), (990, 1000)])
def test_wilson_is_scipys(right, trials):
    expected = stats.binomtest(right, trials).proportion_ci(0.95, "wilson")
    assert intervals.wilson(right / trials, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    sample = clustered(30, 0.8, 0.3, 0)
    one, same, other = (intervals.figures(sample, grouped=True, draws=200, seed=seed) for seed in (1, 1, 2))
    assert one.overall["accuracy"] == same.overall["accuracy"] != other.overall["accuracy"]


def test_draws_in_blocks_are_draws(monkeypatch):
    whole = np.concatenate(list(intervals.resamples(7, 50, np.random.default_rng(3))))
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 40)
    parts = list(intervals.resamples(7, 50, np.random.default_rng(3)))
    assert len(parts) > 5
    assert np.array_equal(np.concatenate(parts), whole)
    assert whole.shape == (50, 7) and (whole.sum(axis=1) == 7).all()
    left = np.concatenate(list(intervals.leaving_out(7, np.random.default_rng(0))))
    assert (left.sum(axis=1) == 6).all() and (left.sum(axis=0) == 6).all()


def test_without_groups_wilson_says_so():
    draw = np.random.default_rng(0)
    label = draw.integers(0, 2, 200)
    probs = np.clip(
        np.column_stack([1 - label, label]) * 0.3 + draw.random((200, 1)) * [0.7, -0.7] + [0, 0.7], 0, 1
    )
    probs /= probs.sum(axis=1, keepdims=True)
    sample = metrics.Sample(label, probs.argmax(1), probs, np.arange(200))
    found = intervals.figures(sample, grouped=False, draws=300)
    accuracy = found.overall["accuracy"]
    right = round(accuracy.value * 200)
    expected = stats.binomtest(right, 200).proportion_ci(0.95, "wilson")
    assert (accuracy.low, accuracy.high) == pytest.approx((expected.low, expected.high))
    assert accuracy.method == found.per_class["recall"][1].method == intervals.WILSON
    recall = found.per_class["recall"][1]
    positives = int(label.sum())
    expected = stats.binomtest(round(recall.value * positives), positives).proportion_ci(0.95, "wilson")
    assert (recall.low, recall.high) == pytest.approx((expected.low, expected.high))
    macro = found.overall["macro_f1"]
    assert macro.method == intervals.CASES and macro.low < macro.value < macro.high
    auroc = found.overall["macro_auroc"]
    assert auroc.low < auroc.value < auroc.high


def test_all_right_is_not_certain():
    label = np.repeat([0, 1], 50)
    probs = np.column_stack([1 - label, label]).astype(float)
    sample = metrics.Sample(label, label, probs, np.repeat(np.arange(20), 5))
    found = intervals.figures(sample, grouped=True, draws=100)
    expected = stats.binomtest(20, 20).proportion_ci(0.95, "wilson")
    assert found.overall["accuracy"].low == pytest.approx(expected.low)
    assert found.overall["accuracy"].method == intervals.WILSON_GROUPS
    assert found.per_class["recall"][0].low == pytest.approx(
        stats.binomtest(10, 10).proportion_ci(0.95, "wilson").low
    )
    assert found.overall["macro_auroc"].as_json() == {"value": 1.0, "low": None, "high": None, "method": None}


def test_what_is_not_defined_has_no_interval():
    sample = metrics.Sample(
        np.zeros(9, int), np.zeros(9, int), np.tile([0.6, 0.4], (9, 1)), np.arange(9) // 3
    )
    found = intervals.figures(sample, grouped=True, draws=50)
    for figure in (found.overall["macro_auroc"], found.overall["kappa"], found.per_class["auroc"][1]):
        assert figure.as_json() == {"value": None, "low": None, "high": None, "method": None}
    one = metrics.Sample(np.array([1]), np.array([1]), np.array([[0.2, 0.8]]), np.array([0]))
    accuracy = intervals.figures(one, grouped=True, draws=50).overall["accuracy"]
    assert accuracy.value == 1 and accuracy.low < 0.3
