"""Ablation: the variants of one model on the same folds, and what each part is worth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_brain import registry
from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError
from monai_brain.files import sha256
from monai_brain.inference import weights as network_weights
from monai_brain.training.experiments import contest, folder, partitions, tables
from monai_brain.training.experiments.contest import Contestant
from monai_brain.training.experiments.folder import DATALISTS, Experiment
from monai_brain.training.experiments.stages import ALL, Stage, carry_out

KIND = "ablation"


def ablate(
    model: str | os.PathLike[str] | Bundle,
    datalist: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    variants: Sequence[str] | None = None,
    folds: Sequence[int] | str | None = None,
    seed: int = 0,
    weights: str | os.PathLike[str] = "scratch",
    overlays: Sequence[str] = (),
    shuffle_labels: bool = False,
    cluster: str | None = None,
    stage: Stage = ALL,
    progress: bool | None = False,
    **overrides: Any,
) -> Path:
    """Train variants of a model on the same folds and compare each with the whole model; gives the folder.

    Args:
        model: a registered name or a bundle folder.
        datalist: a datalist file with folds.
        output: the experiment's folder; by default ./runs/ablation/MODEL.
        variants: names of variants; by default those of the paper's first table of variants, else all. The
            model as it is always takes part: the others are compared with it.
        folds: numbers of folds, or "all"; by default the first.
        seed: of every training.
        weights: what each training starts from, as `train` takes it.
        shuffle_labels: a control: deal the labels anew among groups first.
        cluster: None, "local:N" or the address of a Dask scheduler.
        stage: "all", "plan", "collect", or the number of one job.
        progress: True or False for a bar, None for one on a terminal.
        overlays: further recipes of the model, laid over train.json, as `train` takes them.
        overrides: values of the recipe's keys.

    Raises:
        MonaiBrainError: Whatever is wrong with the model, the data, the recipe or a run.
    """
    bundle = registry.bundle(model)
    base = tables.as_variant(bundle, None)
    wanted = list(dict.fromkeys(variants)) if variants is not None else _listed(bundle)
    for variant in wanted:
        network_weights.variant(bundle, variant)
    if base not in wanted:
        wanted = [*wanted, base] if base else wanted
    if not [variant for variant in wanted if variant != base]:
        raise ConfigurationError(f"{bundle.name} has no variants to compare. Name some by --variants A,B.")
    name = contest.named(model)
    contestants = [Contestant(variant or bundle.name, name, variant) for variant in wanted]
    if base is None:
        contestants.append(Contestant(bundle.name, name, None))
    content = contest.begin_lists(datalist, shuffle_labels, seed)
    chosen = contest.chosen_folds(content, folds)
    facts = {
        "model": bundle.name,
        "base": base or bundle.name,
        "contestants": {one.name: [one.model, one.variant] for one in contestants},
        "datalist": {"name": content["name"], "sha256": sha256(datalist)},
        "scheme": content["scheme"],
        "folds": chosen,
        "seed": seed,
        "leakage": content["leakage"],
        "controls": [partitions.SHUFFLED] if shuffle_labels else [],
        "paper": bundle.facts.get("paper"),
    }
    root = Path(output) if output is not None else Path("runs") / KIND / bundle.name
    todo = contest.jobs(contestants, content, chosen, str(weights), tuple(overlays), seed, overrides)
    experiment = folder.begin(root, KIND, todo, facts, {f"{DATALISTS}/repeat_0.json": content})
    return carry_out(experiment, collect, stage=stage, cluster=cluster, progress=progress)


def collect(experiment: Experiment) -> None:
    """Join the finished variants: predictions, figures, tables."""
    rows = contest.rows_of(experiment)
    bundle = registry.bundle(experiment.jobs[0].model)
    contest.write(
        experiment,
        rows,
        contestants={
            name: (model, variant) for name, (model, variant) in experiment.facts["contestants"].items()
        },
        leakage=dict.fromkeys(rows, experiment.facts["leakage"]),
        paper=tables.paper_rows(bundle),
        titles=("Ablation", "Ablation by class"),
        against=experiment.facts["base"],
    )


def _listed(bundle: Bundle) -> list[str]:
    """The variants of the paper's first table that is about several of the model's own, else all."""
    known = list(bundle.facts.get("variants", {}))
    for table in bundle.facts.get("tables", []):
        named = [
            row["variant"] for row in table["rows"] if row.get("variant") in known and "model" not in row
        ]
        if len(set(named)) > 1:
            return list(dict.fromkeys(named))
    return known
