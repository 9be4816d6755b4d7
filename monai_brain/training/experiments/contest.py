"""Several models or variants on the same folds: their jobs, and what their runs say beside one another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.data import datalist as datalists
from monai_brain.data.schema import Datalist
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import predictions as files
from monai_brain.evaluation.predictions import Predictions
from monai_brain.files import write_json
from monai_brain.training import run_folder
from monai_brain.training.experiments import costs, partitions, results, tables
from monai_brain.training.experiments.folder import DATALISTS, RUNS, TABLES_FILE, Experiment
from monai_brain.training.experiments.jobs import Job

EVERY_FOLD = "all"


@dataclass(frozen=True)
class Contestant:
    """A model or variant that is trained to be compared."""

    name: str
    model: str
    variant: str | None


def jobs(
    contestants: Sequence[Contestant],
    content: Datalist,
    folds: Sequence[int],
    weights: str,
    overlays: tuple[str, ...],
    seed: int,
    overrides: Mapping[str, Any],
) -> list[Job]:
    """A training for each contestant and fold; all are seeded alike.

    A model whose classes are not the first one's is trained on the first one's: rows of other classes
    could not stand beside each other.
    """
    labels = registry.bundle(contestants[0].model).labels
    found = []
    for one in contestants:
        own = {} if registry.bundle(one.model).labels == labels else {"labels": list(labels)}
        for fold in folds:
            name = f"{one.name}_fold_{fold}".replace("/", "_").replace(":", "_")
            found.append(
                Job(
                    name, f"{RUNS}/{name}", one.model, one.variant, fold, 0, f"{DATALISTS}/repeat_0.json",
                    contestant=one.name, weights=weights, overlays=overlays,
                    overrides={"seed": seed, **own, **overrides},
                )
            )  # fmt: skip
    return found


def chosen_folds(content: Datalist, wanted: Sequence[int] | str | None) -> list[int]:
    """The folds that are asked for: some by number, "all", or only the first by default.

    Raises:
        ConfigurationError: The datalist has no folds, or not those.
    """
    known = datalists.folds(content)
    if not known:
        raise ConfigurationError(
            "The datalist has no folds. Split it first: monai-brain data split FILE --scheme patient"
        )
    if wanted is None:
        return known[:1]
    if wanted == EVERY_FOLD:
        return known
    numbers = [] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    odd = [number for number in numbers if number not in known]
    if odd or not numbers:
        given = odd[0] if odd else wanted
        raise ConfigurationError(f"There is no fold {given}. There are: {known}, or 'all'.")
    return numbers


def named(content: Bundle | str | os.PathLike[str]) -> str:
    """The model's name, with @VERSION where one is asked for; the folder of an unregistered one."""
    bundle = registry.bundle(content)
    registered = registry.registry().bundles.get(bundle.name)
    if registered is None or registered.root != bundle.root:
        return str(bundle.root)
    return f"{bundle.name}@{bundle.weights_version}" if bundle.weights_version else bundle.name


def rows_of(experiment: Experiment) -> dict[str, Predictions]:
    """The predictions of each contestant that was trained, over all its folds."""
    found = {}
    for name in dict.fromkeys(job.contestant for job in experiment.jobs):
        found[name] = results.joined(experiment, [job for job in experiment.jobs if job.contestant == name])
    return found


def write(
    experiment: Experiment,
    rows: Mapping[str, Predictions],
    *,
    contestants: Mapping[str, tuple[str, str | None]],
    leakage: Mapping[str, str | None],
    paper: Sequence[Mapping[str, Any]],
    titles: tuple[str, str],
    against: str | None = None,
) -> None:
    """Write predictions.csv, metrics.json and tables.json of a contest.

    Args:
        experiment: Whose folder they go to.
        rows: Each contestant's predictions.
        contestants: The model and variant of each.
        leakage: How each one's data were split, if not by patient.
        paper: Rows of the paper's tables.
        titles: What the table of contestants and that of their classes are called.
        against: The contestant that all others are compared with.
    """
    files.write(files.put_together(_told_apart(rows)), experiment.root / run_folder.PREDICTIONS_FILE)
    metrics = results.contested(rows, leakage=leakage, against=against)
    measured = costs.of(experiment)
    found = [
        tables.of_contestants(titles[0], metrics, contestants, paper, measured),
        tables.of_classes(titles[1], metrics),
    ]
    if metrics["comparison"]:
        found.append(tables.of_tests("Differences", metrics["comparison"]))
    write_json(
        experiment.root / run_folder.JUDGEMENT_FILE, {**metrics, "kind": experiment.kind, "costs": measured}
    )
    write_json(
        experiment.root / TABLES_FILE,
        {"schema_version": 1, "tables": found, "curves": results.curves(experiment)},
    )


def _told_apart(rows: Mapping[str, Predictions]) -> list[Predictions]:
    """The predictions of each contestant, with its name as variant where two would look alike."""
    first = next(iter(rows.values()))
    signs = [(str(one.model[0]), str(one.variant[0])) if len(one) else ("", "") for one in rows.values()]
    found = []
    for (name, one), sign in zip(rows.items(), signs, strict=True):
        one = one.in_order_of(first.classes)
        found.append(one if signs.count(sign) == 1 else one.replaced(variant=name))
    return found


def begin_lists(datalist: str | os.PathLike[str], shuffle: bool, seed: int) -> Datalist:
    """The datalist as the contest uses it."""
    content = partitions.named(datalist)
    return partitions.shuffled(content, seed) if shuffle else content


def run_path(path: str | os.PathLike[str]) -> Path:
    """The predictions file that a run folder or an experiment holds, or the file itself."""
    found = Path(path)
    return found / run_folder.PREDICTIONS_FILE if found.is_dir() else found
