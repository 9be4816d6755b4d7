"""cross-validate, ablate, compare, transfer, robustness."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from monai_brain import recipe
from monai_brain.errors import ConfigurationError, DataError
from monai_brain.files import read_json


def cross_validate(options: argparse.Namespace) -> None:
    """Train a model once a fold and say where the figures are."""
    from monai_brain.training.experiments.cross_validation import cross_validate as run

    folder = run(
        options.model,
        options.datalist,
        options.output,
        folds=options.folds,
        scheme=options.scheme,
        seed=options.seed,
        repeats=options.repeats,
        refit=options.refit,
        variant=options.variant,
        allow_leakage=options.allow_leakage,
        shuffle_labels=options.shuffle_labels,
        shortcut=options.shortcut,
        **_training(options),
    )
    _say(options, folder)


def ablate(options: argparse.Namespace) -> None:
    """Train a model's variants and say where the figures are."""
    from monai_brain.training.experiments.ablation import ablate as run

    variants = options.variants.split(",") if options.variants else None
    _say(
        options, run(options.model, options.datalist, options.output, variants=variants, **_contest(options))
    )


def compare(options: argparse.Namespace) -> None:
    """Train models, or take finished ones, and say where the figures are."""
    from monai_brain.training.experiments.comparing import compare as run

    folder = run(
        options.models, options.datalist, options.output, against=options.against, **_contest(options)
    )
    _say(options, folder)


def transfer(options: argparse.Namespace) -> int:
    """Judge a model on other images; 3 if some could not be read, each named in a line."""
    from monai_brain.training.experiments.transfer import transfer as run

    bad = [pair for pair in options.map if not all(pair.partition("="))]
    if bad:
        raise ConfigurationError(f"--map {bad[0]}: expected --map THEIRS=OURS.")
    folder = run(
        options.model,
        options.datalist,
        options.output,
        rename={left: right for left, _, right in (pair.partition("=") for pair in options.map)},
        trained_on=options.trained_on,
        keep_duplicates=options.keep_duplicates,
        weights=options.weights,
        device=options.device,
        progress=None,
    )
    _say(options, folder)
    return _failures(folder)


def robustness(options: argparse.Namespace) -> int:
    """Judge a model under faults; 3 if some images could not be read, each named in a line."""
    from monai_brain.training.experiments.robustness import robustness as run

    chosen = {"severities": options.severities} if options.severities else {}
    folder = run(
        options.model,
        options.datalist,
        options.output,
        fold=options.fold,
        kinds=options.faults.split(",") if options.faults else None,
        seed=options.seed,
        weights=options.weights,
        device=options.device,
        progress=None,
        **chosen,
    )
    _say(options, folder)
    return _failures(folder)


def _failures(folder: Path) -> int:
    failures = read_json(folder / "metrics.json")["failures"]
    for failure in failures:
        print(f"{failure['case']}: {failure['reason']}", file=sys.stderr)
    return DataError.exit_status if failures else 0


def _contest(options: argparse.Namespace) -> dict[str, Any]:
    """What an ablation and a comparison both take."""
    folds: list[int] | str | None = None
    if options.fold is not None:
        odd = [text for text in options.fold if not text.isdecimal()]
        if odd and options.fold != ["all"]:
            raise ConfigurationError(f"--fold {odd[0]}: expected numbers, or all.")
        folds = "all" if odd else [int(text) for text in options.fold]
    return {
        "folds": folds,
        "seed": options.seed,
        "shuffle_labels": options.shuffle_labels,
        **_training(options),
    }


def _training(options: argparse.Namespace) -> dict[str, Any]:
    """What every experiment that trains takes."""
    stage: str | int = "plan" if options.plan else "collect" if options.collect else "all"
    if options.job is not None:
        stage = options.job
    return {
        "weights": options.weights,
        "overlays": options.overlays,
        "cluster": options.cluster,
        "stage": stage,
        "progress": None,
        **dict(recipe.override(text) for text in options.overrides),
    }


def _say(options: argparse.Namespace, folder: Path) -> None:
    """Print where the experiment is and what it gives so far."""
    from monai_brain.training.experiments import folder as folders
    from monai_brain.training.experiments import tables

    if getattr(options, "plan", False):
        planned = read_json(folder / folders.PLAN_FILE)
        print(json.dumps(planned) if options.json else tables.plan_as_text(planned))
        return
    if getattr(options, "job", None) is not None:
        job = folders.load(folder).jobs[options.job]
        said = {"schema_version": 1, "path": str(folder), "job": job.name, "run": str(folder / job.run)}
        print(json.dumps(said) if options.json else f"{job.name} is finished: {folder / job.run}")
        return
    if options.json:
        found = read_json(folder / folders.EXPERIMENT_FILE)
        files = {name: str(folder / name) for name in ("predictions.csv", "metrics.json", "tables.json")}
        print(json.dumps({"schema_version": 1, "path": str(folder), "kind": found["kind"], **files}))
        return
    for table in read_json(folder / folders.TABLES_FILE)["tables"]:
        print(tables.as_text(table))
    print(f"The experiment is in {folder}.")
