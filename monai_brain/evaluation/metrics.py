"""Figures of a classifier, for the cases as they are and for thousands of resamples of them at once.

A resample is told by how often it holds each group, never by copied rows: the figures of the confusion matrix
come from one matrix product over the groups' matrices, the ranking figures from one sort and running sums.
Where a figure is not defined, scikit-learn's answer is given: 0 where nothing is divided by nothing
(zero_division=0), NaN for an AUROC that lacks positives or negatives and for kappa of one class only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monai_brain.errors import DataError
from monai_brain.evaluation.prediction_columns import NONE, FloatArray, IntArray
from monai_brain.evaluation.prediction_rows import Predictions

OVERALL = (
    "accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_specificity", "macro_f1",
    "macro_auroc", "macro_average_precision", "mcc", "kappa",
)  # fmt: skip
PER_CLASS = ("precision", "recall", "specificity", "f1", "auroc", "average_precision")
RANKING = ("macro_auroc", "macro_average_precision", "auroc", "average_precision")

_DRAWS_AT_ONCE = 32  # keeps the running sums of a few thousand cases in the processor's cache


@dataclass(frozen=True)
class Sample:
    """Labelled cases, ready to be measured.

    Attributes:
        label: Index of the true class, (N,).
        predicted: Index of the predicted class, (N,).
        probs: Probabilities, (N, C).
        group: Index of what the case belongs to, (N,), from 0 to G - 1.
    """

    label: IntArray
    predicted: IntArray
    probs: FloatArray
    group: IntArray

    def __post_init__(self) -> None:
        if len(self.label) == 0:
            raise DataError("There is no labelled case to measure. Give cases with a label.")
        if (self.label == NONE).any():
            raise DataError("Cases without a label cannot be measured. Leave them out first.")

    @classmethod
    def of(cls, predictions: Predictions, groups: npt.ArrayLike | None = None) -> Sample:
        """The sample that predictions are; each case is its own group unless groups are given, (N,)."""
        group: IntArray = np.arange(len(predictions))
        if groups is not None:
            group = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
        return cls(predictions.label, predictions.predicted, predictions.probs, group)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self.probs.shape[1]

    @property
    def groups(self) -> int:
        """The number of groups."""
        return int(self.group.max()) + 1

    def confusion_by_group(self) -> FloatArray:
        """One confusion matrix a group, (G, C, C): rows are the truth, columns the prediction."""
        cells = (self.group * self.classes + self.label) * self.classes + self.predicted
        counts = np.bincount(cells, minlength=self.groups * self.classes**2)
        return counts.reshape(self.groups, self.classes, self.classes).astype(np.float64)


def measure(
    sample: Sample, counts: npt.ArrayLike | None = None, *, ranking: bool = True
) -> dict[str, FloatArray]:
    """Every figure by name: (B,) for those of OVERALL, (B, C) for those of PER_CLASS.

    Args:
        sample: The cases.
        counts: How often each of B resamples holds each group, (B, G); by default one that holds each once.
        ranking: Whether the figures in RANKING are wanted too; they take most of the time.
    """
    held = np.ones((1, sample.groups)) if counts is None else np.asarray(counts, dtype=np.float64)
    matrices = sample.confusion_by_group()
    confusion = (held @ matrices.reshape(sample.groups, -1)).reshape(len(held), *matrices.shape[1:])
    figures = from_confusion(confusion)
    if ranking:
        figures |= _ranking_figures(sample, held)
    return figures


def confusion_matrix(sample: Sample) -> IntArray:
    """Counts of cases, (C, C): rows are the truth, columns the prediction."""
    return sample.confusion_by_group().sum(axis=0).astype(np.int64)


def from_confusion(confusion: npt.ArrayLike) -> dict[str, FloatArray]:
    """The figures that confusion matrices (..., C, C) tell, each (...,) or (..., C).

    Macro means are taken over the classes that occur in truth or prediction, balanced accuracy over those
    that occur in truth, as scikit-learn takes them.
    """
    matrix = np.asarray(confusion, dtype=np.float64)
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    truth, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    total = truth.sum(axis=-1)
    all_ = total[..., None]
    recall = ratio(right, truth)
    figures = {
        "accuracy": ratio(right.sum(axis=-1), total, nothing=np.nan),
        "balanced_accuracy": mean_where(recall, truth > 0),
        "precision": ratio(right, predicted),
        "recall": recall,
        "specificity": ratio(all_ - truth - predicted + right, all_ - truth),
        "f1": ratio(2 * right, truth + predicted),
    }
    occurs = truth + predicted > 0
    for name in ("precision", "recall", "specificity", "f1"):
        figures[f"macro_{name}"] = mean_where(figures[name], occurs)
    chance = (truth * predicted).sum(axis=-1)
    agreed = right.sum(axis=-1) * total - chance
    figures["kappa"] = ratio(agreed, total**2 - chance, nothing=np.nan)
    spread = (total**2 - (truth**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    figures["mcc"] = ratio(agreed, np.sqrt(np.maximum(spread, 0)))
    return figures


def rank_one_class(
    positive: npt.NDArray[np.bool_], score: FloatArray, group: IntArray, counts: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """AUROC and average precision, (B,) each, of a score (N,) in resamples that hold groups (B, G) times.

    AUROC is the share of pairs of a positive and a negative that the score puts right, a tie being half;
    average precision the mean, over the positives, of the precision at their score.
    """
    order = np.argsort(-score, kind="stable")
    positive, score, group = positive[order], score[order], group[order]
    starts = np.flatnonzero(np.append(True, score[1:] != score[:-1]))
    tie = np.cumsum(np.append(False, score[1:] != score[:-1]))
    rows = np.flatnonzero(positive)
    first, last = starts[tie[rows]], np.append(starts[1:], len(score))[tie[rows]] - 1
    reached = np.cumsum(positive)[last] - 1  # the last positive whose score is not lower
    negatives = np.cumsum(~positive)
    tied = np.flatnonzero(negatives[last] > negatives[first] - ~positive[first])
    auroc, average = np.empty(len(counts)), np.empty(len(counts))
    for begin in range(0, len(counts), _DRAWS_AT_ONCE):
        now = slice(begin, begin + _DRAWS_AT_ONCE)
        held = np.ascontiguousarray(counts[now].T)[group]  # (N, draws)
        above = np.cumsum(held, axis=0)
        weight = held[rows]
        true_above = np.cumsum(weight, axis=0)[reached]
        all_above = above[last]
        positives = weight.sum(axis=0)
        average[now] = ratio((weight * ratio(true_above, all_above)).sum(axis=0), positives)
        misplaced = all_above - true_above
        if len(tied):
            span = np.add.reduceat(held * ~positive[:, None], starts, axis=0)
            misplaced[tied] -= span[tie[rows[tied]]] / 2
        pairs = positives * (above[-1] - positives)
        auroc[now] = 1 - ratio((weight * misplaced).sum(axis=0), pairs, nothing=np.nan)
    return auroc, average


def ratio(part: FloatArray, whole: FloatArray, nothing: float = 0.0) -> FloatArray:
    """The quotient of part and whole, and `nothing` where whole is 0."""
    defined = whole != 0
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, nothing), where=defined)


def mean_where(values: FloatArray, chosen: npt.NDArray[np.bool_]) -> FloatArray:
    """The mean over the last axis of the chosen values; NaN where none is chosen."""
    return ratio((values * chosen).sum(axis=-1), chosen.sum(axis=-1).astype(np.float64), nothing=np.nan)


def _ranking_figures(sample: Sample, held: FloatArray) -> dict[str, FloatArray]:
    columns = [
        rank_one_class(sample.label == index, sample.probs[:, index], sample.group, held)
        for index in range(sample.classes)
    ]
    auroc = np.column_stack([first for first, _ in columns])
    average = np.column_stack([second for _, second in columns])
    return {
        "auroc": auroc,
        "average_precision": average,
        "macro_auroc": auroc.mean(axis=-1),
        "macro_average_precision": average.mean(axis=-1),
    }
