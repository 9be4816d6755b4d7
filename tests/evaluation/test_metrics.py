"""Every figure against scikit-learn, on ordinary and on degenerate cases, resampled or not."""

import time
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from monai_brain.errors import DataError
from monai_brain.evaluation import metrics
from monai_brain.evaluation.predictions import Predictions


def scikit_learn(label, predicted, probs, weight=None):
    """The same figures, one by one, from scikit-learn."""
    classes = range(probs.shape[1])
    common = {"sample_weight": weight}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        each = oracle.precision_recall_fscore_support(
            label, predicted, labels=list(classes), zero_division=0, **common
        )
        macro = oracle.precision_recall_fscore_support(
            label, predicted, average="macro", zero_division=0, **common
        )
        ones = oracle.multilabel_confusion_matrix(label, predicted, labels=list(classes), **common)
        negatives, cleared = ones[:, 0].sum(1), ones[:, 0, 0]
        specificity = np.divide(cleared, negatives, out=np.zeros(len(classes)), where=negatives > 0)
        # scikit-learn before 1.6 raises where it now answers NaN.
        auroc = np.array(
            [
                oracle.roc_auc_score(label == c, probs[:, c], **common)
                if len(set(label == c)) == 2
                else np.nan
                for c in classes
            ]
        )
        average = np.array(
            [oracle.average_precision_score(label == c, probs[:, c], **common) for c in classes]
        )
        present = np.union1d(label, predicted)
        return {
            "accuracy": oracle.accuracy_score(label, predicted, **common),
            "balanced_accuracy": oracle.balanced_accuracy_score(label, predicted, **common),
            "precision": each[0],
            "recall": each[1],
            "f1": each[2],
            "specificity": specificity,
            "macro_precision": macro[0],
            "macro_recall": macro[1],
            "macro_f1": macro[2],
            "macro_specificity": specificity[present].mean(),
            "mcc": oracle.matthews_corrcoef(label, predicted, **common),
            "kappa": oracle.cohen_kappa_score(label, predicted, **common),
            "auroc": auroc,
            "macro_auroc": np.average(auroc),
            "average_precision": average,
            "macro_average_precision": np.average(average),
        }


def assert_same(found, expected):
    assert set(found) == set(expected) == {*metrics.OVERALL, *metrics.PER_CLASS}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-9, rtol=0, err_msg=name)


@st.composite
def cases(draw):
    """Labels, predictions and probabilities with many ties, often without some class, sometimes one case."""
    classes = draw(st.integers(2, 4))
    count = draw(st.integers(1, 30))
    index = st.integers(0, draw(st.integers(0, classes - 1)))
    label = np.array(draw(st.lists(index, min_size=count, max_size=count)))
    parts = st.lists(st.integers(1, 4), min_size=classes, max_size=classes)
    weights = np.array(draw(st.lists(parts, min_size=count, max_size=count)), dtype=float)
    probs = weights / weights.sum(1, keepdims=True)
    predicted = label.copy() if draw(st.booleans()) else probs.argmax(1)
    return label, predicted, probs


@given(cases())
@example((np.array([0]), np.array([0]), np.array([[0.7, 0.3]])))
@example((np.array([1]), np.array([0]), np.array([[0.7, 0.3]])))
@example((np.array([0, 0, 0]), np.array([0, 1, 0]), np.array([[0.7, 0.3], [0.3, 0.7], [0.5, 0.5]])))
@example((np.array([0, 1, 2]), np.array([0, 1, 2]), np.eye(3)))
@settings(max_examples=120, deadline=None)
def test_every_figure_equals_scikit_learn(given_):
    label, predicted, probs = given_
    sample = metrics.Sample(label, predicted, probs, np.arange(len(label)))
    found = {name: values[0] for name, values in metrics.measure(sample).items()}
    assert_same(found, scikit_learn(label, predicted, probs))
    matrix = oracle.confusion_matrix(label, predicted, labels=range(probs.shape[1]))
    assert metrics.confusion_matrix(sample).tolist() == matrix.tolist()


@given(cases(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_every_resample_equals_scikit_learn_on_the_copied_rows(given_, seed):
    label, predicted, probs = given_
    draw = np.random.default_rng(seed)
    group = np.unique(draw.integers(0, 8, len(label)), return_inverse=True)[1]
    chosen = draw.integers(0, group.max() + 1, (3, group.max() + 1))
    counts = np.stack([np.bincount(row, minlength=group.max() + 1) for row in chosen])
    found = metrics.measure(metrics.Sample(label, predicted, probs, group), counts)
    for number, row in enumerate(chosen):
        copied = np.concatenate([np.flatnonzero(group == one) for one in row])
        expected = scikit_learn(label[copied], predicted[copied], probs[copied])
        assert_same({name: values[number] for name, values in found.items()}, expected)


def big(count, groups, classes=4, seed=0):
    draw = np.random.default_rng(seed)
    label = draw.integers(0, classes, count)
    probs = draw.dirichlet(np.ones(classes), count)
    probs[np.arange(count), label] += 0.3
    probs /= probs.sum(1, keepdims=True)
    return metrics.Sample(label, probs.argmax(1), probs, np.sort(draw.integers(0, groups, count)))


def test_more_resamples_than_fit_one_batch_are_all_measured():
    sample = big(300, 20)
    counts = np.random.default_rng(1).multinomial(20, np.full(20, 1 / 20), 101)
    found = metrics.measure(sample, counts)
    for number in (0, 31, 32, 100):
        weight = counts[number][sample.group]
        expected = scikit_learn(sample.label, sample.predicted, sample.probs, weight)
        assert_same({name: values[number] for name, values in found.items()}, expected)


def test_resamples_are_measured_fifty_times_faster_than_by_scikit_learn():
    sample = big(4500, 346)
    counts = np.random.default_rng(1).multinomial(
        sample.groups, np.full(sample.groups, 1 / sample.groups), 2000
    )
    metrics.measure(sample, counts[:10])
    began = time.process_time()
    metrics.measure(sample, counts)
    ours = time.process_time() - began
    began = time.process_time()
    for row in counts[:5]:
        rows = np.repeat(np.arange(4500), row[sample.group])
        scikit_learn(sample.label[rows], sample.predicted[rows], sample.probs[rows])
    theirs = (time.process_time() - began) * len(counts) / 5
    print(f"2000 resamples: {ours:.2f} s, scikit-learn {theirs:.1f} s, ratio {theirs / ours:.0f}")
    assert theirs > 50 * ours


def test_ranking_figures_can_be_left_out():
    found = metrics.measure(big(50, 5), ranking=False)
    assert set(found) == {*metrics.OVERALL, *metrics.PER_CLASS} - set(metrics.RANKING)


def test_a_sample_needs_labelled_cases():
    one = Predictions(("a", "b"), ["x"], [[0.5, 0.5]])
    with pytest.raises(DataError, match="without a label"):
        metrics.Sample.of(one)
    with pytest.raises(DataError, match="no labelled case"):
        metrics.Sample.of(one.subset([]))


def test_groups_are_numbered_by_name():
    given_ = Predictions(("a", "b"), list("wxyz"), [[0.5, 0.5]] * 4, label=[0, 1, 1, 0])
    assert metrics.Sample.of(given_).group.tolist() == [0, 1, 2, 3]
    assert metrics.Sample.of(given_, ["p", "q", "p", "q"]).group.tolist() == [0, 1, 0, 1]
