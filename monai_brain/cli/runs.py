"""train, evaluate, demo."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from monai_brain import recipe


def train(options: argparse.Namespace) -> None:
    """Train one fold and say where the run is."""
    from monai_brain.training.run_folder import JUDGEMENT_FILE
    from monai_brain.training.workflow import train as train_model

    run = train_model(
        options.model,
        options.datalist,
        options.fold,
        weights=options.weights,
        run_dir=options.run_dir,
        resume=options.resume,
        variant=options.variant,
        **dict(recipe.override(text) for text in options.overrides),
    )
    if options.json:
        print(json.dumps({"schema_version": 1, "run": str(run), "metrics": str(run / JUDGEMENT_FILE)}))
    else:
        print(f"The run is in {run}. Use it as a model: monai-brain predict {run} INPUT...")


def evaluate(options: argparse.Namespace) -> None:
    """Print the figures that a predictions file gives."""
    from monai_brain.evaluation import judge
    from monai_brain.files import write_json
    from monai_brain.training import run_folder

    source = Path(options.predictions)
    told = run_folder.leakage(source) if source.is_dir() else None
    path = source / run_folder.PREDICTIONS_FILE if source.is_dir() else source
    metrics = judge.evaluate(path, leakage=told, draws=options.draws, seed=options.seed)
    if options.output:
        write_json(options.output, metrics)
    print(json.dumps(metrics) if options.json else judge.summary(metrics))


def demo(options: argparse.Namespace) -> None:
    """The main job from beginning to end, on phantoms."""
    from monai_brain.demo import run

    run(Path(options.output), say=lambda text: print(text, flush=True))
