"""Tests of difference, against scipy, statsmodels, brute force and their own error rates."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from monai_brain.errors import DataError
from monai_brain.evaluation import metrics, significance


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
@settings(max_examples=100, deadline=None)
def test_mcnemar_is_the_exact_binomial_test(pairs):
    first, second = np.array(pairs, dtype=bool).reshape(-1, 2).T
    found = significance.mcnemar(first, second)
    one, other = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    assert (found.only_first, found.only_second) == (one, other)
    expected = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert found.p == pytest.approx(expected, abs=1e-12)


def test_mcnemar_is_statsmodels():
    tables = pytest.importorskip(
        "statsmodels.stats.contingency_tables", reason="statsmodels is not installed"
    )
    draw = np.random.default_rng(0)
    first, second = draw.random(200) < 0.8, draw.random(200) < 0.7
    table = [
        [(first & second).sum(), (first & ~second).sum()],
        [(~first & second).sum(), (~first & ~second).sum()],
    ]
    assert significance.mcnemar(first, second).p == pytest.approx(tables.mcnemar(table, exact=True).pvalue)


@given(st.lists(st.floats(0, 1), max_size=8))
@settings(max_examples=100, deadline=None)
def test_holm_is_the_stepwise_definition(p_values):
    found = significance.holm(p_values)
    count = len(p_values)
    ranked = sorted(range(count), key=lambda i: p_values[i])
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, index in enumerate(ranked):
            if p_values[index] * (count - rank) > level:
                break
            rejected.add(index)
        assert rejected == {i for i, p in enumerate(found) if p <= level}


def test_holm_is_statsmodels_and_leaves_out_what_is_not_defined():
    p_values = [0.01, 0.04, 0.03, 0.5]
    found = significance.holm([0.01, 0.04, np.nan, 0.03, 0.5])
    assert np.isnan(found[2])
    assert [p for p in found if p == p] == pytest.approx([0.04, 0.09, 0.09, 0.5])
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    assert significance.holm(p_values) == pytest.approx(
        multitest.multipletests(p_values, method="holm")[1].tolist()
    )


def brute_delong(positive, first, second):
    """DeLong's variance of the difference, by loops over all pairs of a positive and a negative."""
    kernels = []
    for score in (first, second):
        kernels.append([[(a > b) + (a == b) / 2 for b in score[~positive]] for a in score[positive]])
    kernel = np.array(kernels)
    of_positives, of_negatives = kernel.mean(axis=2), kernel.mean(axis=1)
    covariance = np.cov(of_positives) / positive.sum() + np.cov(of_negatives) / (~positive).sum()
    areas = kernel.mean(axis=(1, 2))
    return areas, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_delong_is_the_loop_over_all_pairs(seed):
    draw = np.random.default_rng(seed)
    positive = draw.random(60) < 0.4
    first, second = (np.round(draw.normal(size=60) + positive * shift, 1) for shift in (1.0, 0.5))
    found = significance.delong(positive, first, second)
    areas, variance = brute_delong(positive, first, second)
    assert (found.first, found.second) == pytest.approx(tuple(areas), abs=1e-12)
    assert found.first == pytest.approx(roc_auc_score(positive, first))
    error = np.sqrt(variance)
    assert found.high - found.low == pytest.approx(2 * stats.norm.ppf(0.975) * error, abs=1e-10)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(areas[0] - areas[1]) / error), abs=1e-10)


def test_delong_without_a_difference_or_a_class():
    positive = np.array([True, False, True, False])
    score = np.array([0.9, 0.1, 0.8, 0.85])
    assert significance.delong(positive, score, score).p == 1.0
    assert np.isnan(significance.delong(np.ones(4, bool), score, score).first)
    assert significance.delong(np.ones(4, bool), score, score).as_json()["p"] is None


def paired_scores(seed, groups=40, size=8):
    """Two equally good scores, each wrong about other patients."""
    draw = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    positive = draw.random(groups)[group] < 0.5
    scores = [
        positive + draw.normal(size=groups)[group] + 0.5 * draw.normal(size=len(group)) for _ in range(2)
    ]
    return positive, group, scores


def test_delong_by_groups_keeps_its_error_rate_where_the_plain_one_does_not():
    by_group, plain = 0, 0
    for seed in range(300):
        positive, group, (first, second) = paired_scores(seed)
        by_group += significance.delong(positive, first, second, group).p < 0.05
        plain += significance.delong(positive, first, second).p < 0.05
    assert by_group / 300 < 0.10
    assert plain / 300 > 0.25


def as_samples(label, first, second, group):
    probs = [np.column_stack([1 - score, score]) for score in (first, second)]
    return [metrics.Sample(label, one.argmax(1), one, group) for one in probs]


def test_paired_bootstrap_draws_the_same_groups_for_both():
    draw = np.random.default_rng(0)
    label, group = draw.integers(0, 2, 60), np.repeat(np.arange(20), 3)
    one, other = as_samples(label, draw.random(60), draw.random(60), group)
    found = significance.paired_bootstrap(one, other, ("accuracy", "macro_auroc"), draws=400)
    right = [(sample.predicted == label) for sample in (one, other)]
    assert found["accuracy"].difference == pytest.approx(right[0].mean() - right[1].mean())
    generator = np.random.default_rng(0)
    differences = []
    for chosen in generator.integers(0, 20, (400, 20)):
        rows = np.concatenate([np.flatnonzero(group == g) for g in chosen])
        differences.append(right[0][rows].mean() - right[1][rows].mean())
    sides = [(sum(d <= 0 for d in differences) + 1) / 401, (sum(d >= 0 for d in differences) + 1) / 401]
    assert found["accuracy"].p == pytest.approx(min(1, 2 * min(sides)))
    assert min(differences) <= found["accuracy"].low < found["accuracy"].high <= max(differences)


def test_paired_bootstrap_sees_a_difference_and_no_difference():
    draw = np.random.default_rng(1)
    label, group = draw.integers(0, 2, 400), np.repeat(np.arange(100), 4)
    good, bad = (np.clip(label + draw.normal(scale=scale, size=400), 0, 1) for scale in (0.4, 2.0))
    one, other = as_samples(label, good, bad, group)
    better = significance.paired_bootstrap(one, other, draws=500)["accuracy"]
    assert better.low > 0 and better.p < 0.01
    same = significance.paired_bootstrap(one, one, draws=100)["accuracy"]
    assert same.as_json() == {
        "first": same.first, "second": same.first, "difference": 0.0, "low": None, "high": None, "p": 1.0
    }  # fmt: skip


def test_paired_bootstrap_keeps_its_error_rate():
    rejected = 0
    for seed in range(150):
        positive, group, scores = paired_scores(seed)
        scores = [np.clip((score + 1.5) / 4, 0, 1) for score in scores]
        one, other = as_samples(positive.astype(int), *scores, group)
        found = significance.paired_bootstrap(one, other, ("accuracy",), draws=300, seed=seed)
        rejected += found["accuracy"].p < 0.05
    assert rejected / 150 < 0.11


def test_samples_of_other_cases_are_refused():
    label, group = np.array([0, 1, 1]), np.arange(3)
    score = np.array([0.1, 0.8, 0.7])
    one, _ = as_samples(label, score, score, group)
    for other_label, other_group in itertools.product((label, label[::-1]), (group, np.array([0, 0, 1]))):
        if other_label is label and other_group is group:
            continue
        with pytest.raises(DataError, match="same cases"):
            significance.paired_bootstrap(one, as_samples(other_label, score, score, other_group)[0])
