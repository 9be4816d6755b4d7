"""Comparison: models and published networks on the same folds, or the predictions that others left."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_brain import registry
from monai_brain.errors import ConfigurationError, DataError
from monai_brain.evaluation import predictions as files
from monai_brain.evaluation.predictions import Predictions
from monai_brain.files import sha256
from monai_brain.inference import weights as network_weights
from monai_brain.training import run_folder
from monai_brain.training.experiments import contest, folder, partitions, results, tables
from monai_brain.training.experiments.contest import Contestant
from monai_brain.training.experiments.folder import DATALISTS, Experiment
from monai_brain.training.experiments.stages import ALL, Stage, carry_out

KIND = "comparison"


def compare(
    models: Sequence[str | os.PathLike[str]],
    datalist: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    folds: Sequence[int] | str | None = None,
    seed: int = 0,
    weights: str | os.PathLike[str] = "scratch",
    overlays: Sequence[str] = (),
    shuffle_labels: bool = False,
    against: str | None = None,
    cluster: str | None = None,
    stage: Stage = ALL,
    progress: bool | None = False,
    **overrides: Any,
) -> Path:
    """Compare models on the same cases, each with each; gives the experiment's folder.

    Args:
        models: each a registered name or bundle folder, with a variant behind a colon
            ("baseline:vgg16"), which is trained; or a run folder, an experiment's folder or a file of
            predictions, which is taken as it is and needs no model.
        datalist: a datalist file with folds, if any is to be trained.
        output: the experiment's folder; by default ./runs/comparison.
        folds: numbers of folds, or "all"; by default the first.
        seed: of every training.
        weights: what each training starts from, as `train` takes it.
        shuffle_labels: a control: deal the labels anew among groups first.
        against: the one that all others are compared with; by default each with each.
        cluster: None, "local:N" or the address of a Dask scheduler.
        stage: "all", "plan", "collect", or the number of one job.
        progress: True or False for a bar, None for one on a terminal.
        overlays: further recipes of the model, laid over train.json, as `train` takes them.
        overrides: values of the recipe's keys, for all that are trained.

    Raises:
        MonaiBrainError: Whatever is wrong with a model, the data, a recipe or a run.
    """
    if len(models) < 2:
        raise ConfigurationError(f"Comparing needs at least two; {len(models)} given.")
    finished = {_short(path, models): str(Path(path).resolve()) for path in models if _is_finished(path)}
    contestants = [_contestant(str(model)) for model in models if not _is_finished(model)]
    names = [*finished, *(one.name for one in contestants)]
    if len(set(names)) < len(models):
        raise ConfigurationError(f"Each can be compared once: {', '.join(map(str, models))}.")
    if against is not None and against not in names:
        raise ConfigurationError(f"--against {against}: expected one of {', '.join(names)}.")
    if contestants and datalist is None:
        raise ConfigurationError(
            f"{contestants[0].name} is to be trained: name a datalist by --datalist FILE."
        )
    facts: dict[str, Any] = {
        "model": contestants[0].model if contestants else "",
        "contestants": {one.name: [one.model, one.variant] for one in contestants},
        "finished": finished,
        "against": against,
        "seed": seed,
        "controls": [partitions.SHUFFLED] if shuffle_labels else [],
        "leakage": None,
    }
    todo, lists = [], {}
    if contestants and datalist is not None:
        content = contest.begin_lists(datalist, shuffle_labels, seed)
        chosen = contest.chosen_folds(content, folds)
        todo = contest.jobs(contestants, content, chosen, str(weights), tuple(overlays), seed, overrides)
        lists = {f"{DATALISTS}/repeat_0.json": content}
        facts |= {
            "datalist": {"name": content["name"], "sha256": sha256(datalist)},
            "scheme": content["scheme"],
            "folds": chosen,
            "leakage": content["leakage"],
        }
    root = Path(output) if output is not None else Path("runs") / KIND
    experiment = folder.begin(root, KIND, todo, facts, lists)
    return carry_out(experiment, collect, stage=stage, cluster=cluster, progress=progress)


def collect(experiment: Experiment) -> None:
    """Join the finished models and what was finished before: predictions, figures, tables."""
    trained = contest.rows_of(experiment)
    taken = {name: _one_contestant(name, path) for name, path in experiment.facts["finished"].items()}
    rows = trained | taken
    leakage = dict.fromkeys(trained, experiment.facts["leakage"])
    for name, path in experiment.facts["finished"].items():
        leakage[name] = results.told(Path(path)).get("leakage") if Path(path).is_dir() else None
    contestants: dict[str, tuple[str, str | None]] = {
        name: (model, variant) for name, (model, variant) in experiment.facts["contestants"].items()
    }
    contestants |= {
        name: (str(one.model[0]) or name, str(one.variant[0]) or None) for name, one in taken.items()
    }
    paper = []
    for bundle in registry.registry().bundles.values():
        if any(model == bundle.name for model, _ in contestants.values()):
            paper += tables.paper_rows(bundle)
    contest.write(
        experiment,
        rows,
        contestants=contestants,
        leakage=leakage,
        paper=paper,
        titles=("Models", "Models by class"),
        against=experiment.facts["against"],
    )


def _is_finished(given: str | os.PathLike[str]) -> bool:
    path = Path(given)
    return path.is_file() or (path / run_folder.PREDICTIONS_FILE).is_file()


def _short(given: str | os.PathLike[str], among: Sequence[str | os.PathLike[str]]) -> str:
    """The last part of a path where that is unlike all others', else the path as it was given."""
    path = Path(given)
    alike = [other for other in among if Path(other).name == path.name]
    return path.name if len(alike) == 1 else path.as_posix()


def _contestant(given: str) -> Contestant:
    """The model and variant that "MODEL" or "MODEL:VARIANT" names."""
    model, _, variant = (
        given.rpartition(":") if ":" in given and not Path(given).is_dir() else (given, "", "")
    )
    bundle = registry.bundle(model)
    network_weights.variant(bundle, variant or None)
    return Contestant(
        f"{bundle.name}:{variant}" if variant else bundle.name, contest.named(model), variant or None
    )


def _one_contestant(name: str, path: str) -> Predictions:
    """What one model said, from its file.

    Raises:
        DataError: The file holds several models or variants.
    """
    rows = files.read(contest.run_path(path))
    if len(rows) == 0:
        raise DataError(f"{path} holds no predictions.")
    for column in ("model", "variant"):
        held = sorted(set(getattr(rows, column).tolist()))
        if len(held) > 1:
            raise DataError(f"{path} holds several values of {column}: {', '.join(held)}. Give one a file.")
    return rows.replaced(model=name) if not str(rows.model[0]) else rows
