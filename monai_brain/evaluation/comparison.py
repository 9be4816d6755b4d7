"""All pairs of classifiers on the same cases, with p-values corrected for the number of pairs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from monai_brain.errors import ConfigurationError, DataError, UnknownNameError
from monai_brain.evaluation.intervals import DRAWS, LEVEL
from monai_brain.evaluation.metrics import Sample
from monai_brain.evaluation.patients import by_patient, patient_names
from monai_brain.evaluation.prediction_columns import NONE, SCHEMA_VERSION
from monai_brain.evaluation.prediction_rows import Predictions
from monai_brain.evaluation.significance import delong, holm, mcnemar, paired_bootstrap

HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "mcc")


def matched(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """The labelled rows of both in one order; rows meet by case, fold and repeat, classes by name.

    Raises:
        DataError: A case is missing on one side, or its label differs.
    """
    sides = [side.subset(side.label != NONE) for side in (first, second)]
    if set(sides[0].classes) != set(sides[1].classes):
        given = f"{list(sides[1].classes)} and {list(sides[0].classes)}"
        raise DataError(f"Predictions of other classes cannot be compared: {given}.")
    keys = [list(zip(side.case, side.fold, side.repeat, strict=True)) for side in sides]
    places = {key: row for row, key in enumerate(keys[1])}
    for side, rows in zip(sides, keys, strict=True):
        if len(set(rows)) != len(rows):
            raise DataError("A case stands twice in a fold: choose one variant and model on either side.")
        if len(rows) == 0:
            raise DataError(f"There is no labelled case to compare among {len(side)} rows.")
    missing = set(keys[0]) ^ set(keys[1])
    if missing:
        case = min(str(key[0]) for key in missing)
        raise DataError(
            f"{len(missing)} cases stand on one side only, such as {case!r}. Compare the same cases."
        )
    ordered = sides[1].subset(np.array([places[key] for key in keys[0]]))
    for row in np.flatnonzero(sides[0].column("label") != ordered.column("label"))[:1]:
        labels = [side.class_name(side.label[row]) for side in (sides[0], ordered)]
        raise DataError(
            f"case {str(sides[0].case[row])!r}: its label differs: {labels[0]!r} and {labels[1]!r}."
        )
    return sides[0], ordered.in_order_of(sides[0].classes)


def compare(
    predictions: Mapping[str, Predictions],
    *,
    against: str | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Any]:
    """Every pair of named predictions compared, as JSON takes it.

    Each pair has the paired bootstrap over groups, McNemar's test by case and, where patients are known, by
    patient, and DeLong's test a class. Under "holm" stand the p-values corrected over all pairs, one family a
    test (and a figure).

    Args:
        predictions: The predictions by name.
        against: One name that every other is compared with; by default each is compared with each.
        draws: Resamples behind each interval.
        seed: The same seed gives the same intervals.
        level: The share of intervals that shall cover the truth.

    Raises:
        ConfigurationError: Fewer than two were given.
        UnknownNameError: `against` is none of the names.
        DataError: Two are not of the same cases.
    """
    if len(predictions) < 2:
        raise ConfigurationError(
            f"Comparing needs at least two sets of predictions; {len(predictions)} given."
        )
    if against is not None and against not in predictions:
        raise UnknownNameError("set of predictions", against, predictions)
    chosen = (
        list(itertools.combinations(predictions, 2))
        if against is None
        else [(name, against) for name in predictions if name != against]
    )
    pairs = [
        {"first": one, "second": other, **_pair(predictions[one], predictions[other], draws, seed, level)}
        for one, other in chosen
    ]
    _correct(pairs)
    notes = [f"Holm's correction is over {len(pairs)} pair{'s' if len(pairs) > 1 else ''}."]
    if any(not pair["groups"] for pair in pairs):
        notes.append("No patients or groups are told: all tests take cases as independent.")
    else:
        notes.append(
            "McNemar's test by case takes slices of one patient as independent; read the one by patient."
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "level": level,
        "draws": draws,
        "seed": seed,
        "pairs": pairs,
        "notes": notes,
    }


def _pair(first: Predictions, second: Predictions, draws: int, seed: int, level: float) -> dict[str, Any]:
    one, other = matched(first, second)
    grouping = one.groups
    samples = [Sample.of(side, grouping) for side in (one, other)]
    right = [side.predicted == side.label for side in (one, other)]
    found: dict[str, Any] = {"cases": len(one), "groups": None if grouping is None else samples[0].groups}
    differences = paired_bootstrap(samples[0], samples[1], HEADLINE, draws=draws, seed=seed, level=level)
    found["difference"] = {name: result.as_json() for name, result in differences.items()}
    found["mcnemar"] = mcnemar(*right).as_json()
    found["mcnemar_by_patient"] = None
    if patient_names(one) is not None:
        # One file may lack the patients that the other names: they belong to the cases, not to the model.
        named = other.replaced(
            patient_id=one.patient_id, group=one.group, variant=one.variant, model=one.model
        )
        patients = [by_patient(side)[0] for side in (one, named)]
        found["mcnemar_by_patient"] = mcnemar(*[side.predicted == side.label for side in patients]).as_json()
    found["delong"] = {
        name: delong(
            one.label == index,
            one.probs[:, index],
            other.probs[:, index],
            None if grouping is None else samples[0].group,
            level,
        ).as_json()
        for index, name in enumerate(one.classes)
    }
    return found


def _correct(pairs: list[dict[str, Any]]) -> None:
    """Add to each result its p-value corrected over the pairs."""
    families = [[pair["mcnemar"] for pair in pairs], [pair["mcnemar_by_patient"] for pair in pairs]]
    for kind in ("difference", "delong"):
        for name in dict.fromkeys(name for pair in pairs for name in pair[kind]):
            families.append([pair[kind].get(name) for pair in pairs])
    for family in families:
        tested = [result for result in family if result is not None]
        corrected = holm([np.nan if result["p"] is None else result["p"] for result in tested])
        for result, p in zip(tested, corrected, strict=True):
            result["p_holm"] = p if np.isfinite(p) else None
