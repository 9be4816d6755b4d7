"""Cross-validation: a training for each fold, and every image predicted by a model that never saw it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.data import datalist as datalists
from monai_brain.data.schema import Datalist
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation import predictions as files
from monai_brain.evaluation.judge import evaluate
from monai_brain.files import read_json, sha256, write_json
from monai_brain.inference import ensemble
from monai_brain.training import run_folder
from monai_brain.training.experiments import contest, controls, folder, partitions, results, tables
from monai_brain.training.experiments.folder import DATALISTS, RUNS, TABLES_FILE, Experiment
from monai_brain.training.experiments.jobs import Job
from monai_brain.training.experiments.stages import ALL, Stage, carry_out

KIND = "cross-validation"


def cross_validate(
    model: str | os.PathLike[str] | Bundle,
    datalist: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    folds: int | None = None,
    scheme: str | Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = 1,
    refit: bool = False,
    variant: str | None = None,
    weights: str | os.PathLike[str] = "scratch",
    overlays: Sequence[str] = (),
    allow_leakage: bool = False,
    shuffle_labels: bool = False,
    shortcut: bool = False,
    cluster: str | None = None,
    stage: Stage = ALL,
    progress: bool | None = False,
    **overrides: Any,
) -> Path:
    """Train a model once a fold and join what each says of the images that it never saw; gives the folder.

    Called again with the same arguments it goes on where it was ended, and trains nothing twice. The
    folder is a model then: its folds averaged.

    Args:
        model: a registered name or a bundle folder.
        datalist: a datalist file; its own folds are used unless folds or a scheme is asked for.
        output: the experiment's folder; by default ./runs/cross-validation/MODEL.
        folds: how many folds.
        scheme: as `split` takes it. With several, each further one has a folder of its own within, and
            the first is compared with it.
        seed: of the split; the repeats use the numbers after it, and trainings are seeded alike.
        repeats: how often all is done, each time with other folds.
        refit: also train one model on everything, for as many epochs as the folds needed.
        variant: one of the bundle's variants.
        weights: what each training starts from, as `train` takes it.
        allow_leakage: let images of one patient stand on both sides, and mark the result so.
        shuffle_labels: a control: deal the labels anew among groups first; the result must be chance.
        shortcut: a control: judge a logistic regression on grey levels and sizes beside the network.
        cluster: None, "local:N" or the address of a Dask scheduler.
        stage: "all", "plan", "collect", or the number of one job.
        progress: True or False for a bar, None for one on a terminal.
        overlays: further recipes of the model, laid over train.json, as `train` takes them.
        overrides: values of the recipe's keys.

    Raises:
        MonaiBrainError: Whatever is wrong with the model, the data, the recipe or a run.
    """
    bundle = registry.bundle(model)
    name = contest.named(bundle)
    content = partitions.named(datalist)
    if shuffle_labels:
        content = partitions.shuffled(content, seed)
    schemes = [scheme] if scheme is None or isinstance(scheme, str) else list(dict.fromkeys(scheme))
    todo: list[Job] = []
    lists: dict[str, Datalist] = {}
    leakage: dict[str, str | None] = {}
    for number, wanted in enumerate(schemes):
        place = f"{wanted}/" if number else ""
        parts = partitions.partitions(
            content, scheme=wanted, folds=folds, seed=seed, repeats=repeats, allow_leakage=allow_leakage
        )
        leakage[place] = parts[0]["leakage"]
        lists |= {f"{place}{DATALISTS}/repeat_{repeat}.json": part for repeat, part in enumerate(parts)}
        todo += _jobs(place, parts, name, variant, str(weights), tuple(overlays), seed, overrides)
        if refit and not number:
            todo.append(
                Job(
                    "refit", f"{RUNS}/refit", name, variant, None, 0, f"{DATALISTS}/repeat_0.json",
                    weights=str(weights), overlays=tuple(overlays), overrides={"seed": seed, **overrides},
                )
            )  # fmt: skip
    facts = {
        "model": bundle.name,
        "variant": variant,
        "datalist": {"name": content["name"], "sha256": sha256(datalist)},
        "scheme": parts_scheme(lists[f"{DATALISTS}/repeat_0.json"]),
        "beside": [place.rstrip("/") for place in leakage if place],
        "repeats": repeats,
        "seed": seed,
        "leakage": leakage[""],
        "controls": [
            control
            for control, on in ((partitions.SHUFFLED, shuffle_labels), (controls.SHORTCUT, shortcut))
            if on
        ],
        "paper": bundle.facts.get("paper"),
    }
    root = Path(output) if output is not None else Path("runs") / KIND / (variant or bundle.name)
    experiment = folder.begin(root, KIND, todo, facts, lists)
    return carry_out(experiment, collect, stage=stage, cluster=cluster, progress=progress)


def collect(experiment: Experiment) -> None:
    """Join the finished folds: predictions, figures, tables, and the folder as a model."""
    main = _collected(_within(experiment, ""))
    found = [tables.of_folds("Folds", main["metrics"], main["paper"])] if main["metrics"]["by_fold"] else []
    for place in experiment.facts["beside"]:
        inner = _within(experiment, place)
        beside = _collected(inner)
        inner.save(collected=True)
        rows = {place: beside["rows"], experiment.facts["scheme"]: main["rows"]}
        told = {place: inner.facts["leakage"], experiment.facts["scheme"]: experiment.facts["leakage"]}
        contest = results.contested(rows, leakage=told)
        title = f"Split by {place} against {experiment.facts['scheme']}"
        main["metrics"].setdefault("beside", {})[place] = contest["comparison"]
        found.append(tables.of_tests(title, contest["comparison"]))
    found += main["tables"]
    write_json(experiment.root / run_folder.JUDGEMENT_FILE, main["metrics"])
    write_json(
        experiment.root / TABLES_FILE,
        {"schema_version": 1, "tables": found, "curves": results.curves(experiment)},
    )


def _collected(experiment: Experiment) -> dict[str, Any]:
    """Write one cross-validation's files; gives its figures, and the rows that were measured."""
    rows = results.joined(experiment, experiment.folds)
    files.write(rows, experiment.root / run_folder.PREDICTIONS_FILE)
    notes = []
    shuffled = partitions.SHUFFLED in experiment.facts["controls"]
    if shuffled:
        notes.append("A control: labels were dealt anew among groups before training. This must be chance.")
    metrics = evaluate(rows, leakage=experiment.facts["leakage"], notes=notes)
    measured = results.one_side(rows, metrics["split"])
    bundle = registry.bundle(experiment.folds[0].model)
    variant = tables.as_variant(bundle, experiment.facts["variant"])
    paper = [
        row
        for row in tables.paper_rows(bundle)
        if row["variant"] == variant and row["name"].startswith(("fold ", "mean"))
    ]
    more: list[dict[str, Any]] = []
    if shuffled:
        metrics.setdefault("controls", {})["shuffled_labels"] = controls.chance(metrics)
    if controls.SHORTCUT in experiment.facts["controls"]:
        found = controls.shortcut(experiment, measured)
        metrics.setdefault("controls", {})["shortcut"] = found["contestants"][controls.SHORTCUT]
        metrics["controls"]["shortcut_comparison"] = found["comparison"]
        more.append(tables.of_tests("Network against shortcut", found["comparison"]))
    ensemble.write(experiment.root, [experiment.run(job) for job in experiment.folds])
    _write_manifest(experiment)
    write_json(experiment.root / run_folder.JUDGEMENT_FILE, metrics)
    table = [tables.of_folds("Folds", metrics, paper)] if metrics["by_fold"] else []
    write_json(
        experiment.root / TABLES_FILE,
        {"schema_version": 1, "tables": [*table, *more], "curves": results.curves(experiment)},
    )
    return {"metrics": metrics, "rows": measured, "tables": more, "paper": paper}


def parts_scheme(content: Datalist) -> str:
    """The scheme of a datalist with folds."""
    return str(content["scheme"] or "given")


def _jobs(
    place: str,
    parts: Sequence[Datalist],
    model: str,
    variant: str | None,
    weights: str,
    overlays: tuple[str, ...],
    seed: int,
    overrides: dict[str, Any],
) -> list[Job]:
    found = []
    for repeat, part in enumerate(parts):
        numbers = datalists.folds(part)
        if not numbers:
            raise ConfigurationError("The datalist has no folds. Name a scheme: --scheme patient --folds 5")
        for fold in numbers:
            name = f"repeat_{repeat}_fold_{fold}" if len(parts) > 1 else f"fold_{fold}"
            settings = {"seed": seed, **overrides}
            settings["seed"] += repeat
            found.append(
                Job(
                    f"{place}{name}", f"{place}{RUNS}/{name}", model, variant, fold, repeat,
                    f"{place}{DATALISTS}/repeat_{repeat}.json", weights=weights, overlays=overlays,
                    overrides=settings,
                )
            )  # fmt: skip
    return found


def _within(experiment: Experiment, place: str) -> Experiment:
    """The cross-validation by one scheme, which stands in the folder itself or in one within it."""
    inner = f"{place}/" if place else ""
    others = tuple(f"{other}/" for other in experiment.facts["beside"])
    mine = [
        job
        for job in experiment.jobs
        if (job.run.startswith(inner) if inner else not job.run.startswith(others or ("\0",)))
    ]
    if not inner:
        return Experiment(experiment.root, KIND, tuple(mine), experiment.facts)
    within = tuple(
        replace(
            job,
            name=job.name.removeprefix(inner),
            run=job.run.removeprefix(inner),
            datalist=job.datalist.removeprefix(inner),
        )
        for job in mine
    )
    root = experiment.root / place
    leakage = datalists.read(root / within[0].datalist)["leakage"]
    facts = {**experiment.facts, "scheme": place, "beside": [], "leakage": leakage}
    return Experiment(root, KIND, within, facts)


def _write_manifest(experiment: Experiment) -> None:
    """What a reader must know of the folder as of a run: the first fold's manifest, without its outcome."""
    manifest = read_json(experiment.run(experiment.folds[0]) / run_folder.MANIFEST_FILE)
    manifest.pop("outcome", None)
    write_json(experiment.root / run_folder.MANIFEST_FILE, {**manifest, "kind": experiment.kind})
