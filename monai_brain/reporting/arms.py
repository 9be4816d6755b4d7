"""The models and variants of a report, each measured on the cases it answered."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, MonaiBrainError
from monai_brain.evaluation import comparison
from monai_brain.evaluation.judge import SUBGROUPS, evaluate
from monai_brain.evaluation.prediction_columns import NONE
from monai_brain.evaluation.predictions import Predictions
from monai_brain.reporting import paper
from monai_brain.reporting.source import Source

MOST_ARMS = 24  # of more, as a robustness test has, only the first are measured anew
_MOST_VALUES = 12
# A meta column may hold anything that a table held: what sounds like a person is never shown.
_PERSONAL = ("name", "birth", "dob", "address", "phone", "mail", "ssn", "mrn", "accession", "physician")


@dataclass(frozen=True)
class Arm:
    """One model and variant: its rows, those that are measured, its figures and its bundle."""

    name: str
    predictions: Predictions
    metrics: Mapping[str, Any]
    bundle: Bundle | None
    paper: Mapping[str, float]  # the paper's figures for it, as shares of 1, by the figure's name

    @property
    def measured(self) -> Predictions:
        """The labelled and answered rows of the measured split."""
        split, rows = self.metrics["split"], self.predictions
        chosen = (rows.label != NONE) & ~rows.abstain
        return rows.subset(chosen & (rows.split == split) if split is not None else chosen)


def arms(source: Source, split: str | None, draws: int, seed: int) -> list[Arm]:
    """Every model and variant of the predictions, in the order of the file.

    Raises:
        DataError: There are no labelled predictions.
        ConfigurationError: No one split is chosen.
    """
    rows = source.predictions
    if len(rows) == 0:
        evaluate(rows)  # says what is missing
    pairs = list(dict.fromkeys(zip(rows.model.tolist(), rows.variant.tolist(), strict=True)))[:MOST_ARMS]
    several_models = len({model for model, _ in pairs}) > 1
    found = []
    for model, variant in pairs:
        own = rows if len(pairs) == 1 else rows.where(model=model, variant=variant)
        metrics = evaluate(
            own,
            split=split if split is not None else _only_split(own),
            leakage=source.leakage,
            subgroups=_subgroups(own),
            draws=draws,
            seed=seed,
        )
        bundle = source.bundle(model)
        parts = [model if several_models or not variant else "", variant]
        name = " ".join(part for part in parts if part) or model or "classifier"
        found.append(Arm(name, own, metrics, bundle, paper.figures(source, bundle, model, variant)))
    return found


def compared(found: Sequence[Arm], draws: int, seed: int) -> dict[str, Any] | None:
    """The first arm against each other one on the same cases; None where they cannot be compared."""
    if len(found) < 2:
        return None
    try:
        return comparison.compare({arm.name: arm.measured for arm in found}, draws=draws, seed=seed)
    except MonaiBrainError:
        return None  # models of other classes or cases stand beside each other, uncompared


def headline(found: Sequence[Arm]) -> Arm:
    """The arm that the page tells most about: the one of the bundle's own settings, else the last named.

    Variants are listed from the plain network to the whole one, so the last is what a paper proposes.
    """
    for arm in found:
        if not arm.metrics["variant"]:
            return arm
    proposed = [arm for arm in found if arm.metrics["variant"] == paper.default_variant(arm.bundle)]
    return proposed[0] if proposed else found[0]


def _only_split(rows: Predictions) -> str | None:
    """The split to measure where "test" is not among several: validation, never what was trained on."""
    splits = set(rows.split.tolist())
    if "test" in splits or len(splits) == 1:
        return None
    if "validation" in splits:
        return "validation"
    raise ConfigurationError(f"Choose a split: {', '.join(sorted(map(repr, splits)))}.")


def _subgroups(rows: Predictions) -> list[str]:
    """Columns whose values are worth telling apart, and say nothing about a person."""
    found = []
    for name in itertools.chain(SUBGROUPS, rows.meta):
        if any(word in name.lower() for word in _PERSONAL):
            continue
        if 2 <= len(np.unique(rows.column(name).astype(np.str_))) <= _MOST_VALUES:
            found.append(name)
    return found
