"""How long intervals take."""

from collections.abc import Iterator

import numpy as np

from benchmarks.harness import Contest, Way, benchmark

DRAWS, DRAWS_BESIDE = 2000, 20
CASES, CLASSES, PATIENTS = 4500, 4, 233


@benchmark("bootstrap", "all figures of 4,500 cases of 233 patients with intervals, per resample")
def bootstrap() -> Iterator[Contest]:
    from sklearn import metrics

    from monai_brain.evaluation.intervals import figures
    from monai_brain.evaluation.metrics import Sample

    random = np.random.default_rng(0)
    label = random.integers(0, CLASSES, CASES)
    logits = random.normal(size=(CASES, CLASSES)) + 3 * np.eye(CLASSES)[label]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    group = np.concatenate([np.arange(PATIENTS), random.integers(0, PATIENTS, CASES - PATIENTS)])
    sample = Sample(label, probs.argmax(axis=1), probs, group)
    of = [np.flatnonzero(group == index) for index in range(PATIENTS)]
    classes = range(CLASSES)

    def loop() -> None:
        generator = np.random.default_rng(1)
        for _ in range(DRAWS_BESIDE):
            rows = np.concatenate([of[index] for index in generator.integers(0, PATIENTS, PATIENTS)])
            truth, said, scores = label[rows], sample.predicted[rows], probs[rows]
            metrics.accuracy_score(truth, said)
            metrics.balanced_accuracy_score(truth, said)
            metrics.matthews_corrcoef(truth, said)
            metrics.cohen_kappa_score(truth, said)
            metrics.precision_recall_fscore_support(truth, said, labels=classes, zero_division=0)
            for index in classes:
                metrics.roc_auc_score(truth == index, scores[:, index])
                metrics.average_precision_score(truth == index, scores[:, index])
                metrics.recall_score(truth != index, said != index)

    yield Contest(
        Way("evaluation.intervals.figures", lambda: figures(sample, grouped=True, draws=DRAWS), DRAWS),
        (Way("a loop over scikit-learn's metrics", loop, DRAWS_BESIDE, target=50),),
    )
