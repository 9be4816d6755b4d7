"""train, evaluate, predict, demo."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from monai_brain import recipe, registry
from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, OutputError

SOME_FAILED = 3


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
        rename=dict(_renamed(text) for text in options.rename),
        new_head=options.new_head,
        tracking=options.tracking,
        overlays=[name if name.endswith(".json") else f"recipe_{name}" for name in options.recipe],
        **dict(recipe.override(text) for text in options.overrides),
    )
    if options.json:
        print(json.dumps({"schema_version": 1, "run": str(run), "metrics": str(run / JUDGEMENT_FILE)}))
    else:
        print(f"The run is in {run}. Use it as a model: monai-brain predict {run} INPUT...")


def _renamed(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise ConfigurationError(f"--map takes OLD=NEW, for example healthy=no_tumor, not {text!r}.")
    return old, new


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


def predict(options: argparse.Namespace) -> int:
    """Write results for all inputs, and name each that failed."""
    from monai_brain.inference import predict as prediction
    from monai_brain.inference.writers import results

    bundle = registry.bundle(options.model)
    answers = prediction.predict(
        bundle,
        options.inputs,
        weights=options.weights,
        device=options.device,
        batch_size=options.batch_size,
        progress=None,
    )
    folder = Path(options.output or Path("runs") / "predict" / bundle.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make {folder}: {error.strerror}. Name another place by -o.") from None
    for offer in registry.registry().writers.values():
        offer.load()(answers, bundle, folder)
    if options.explain:
        _explain(options, bundle, folder / "explanations")
    for failure in answers.failures:
        print(f"{failure.case}: {failure.reason}", file=sys.stderr)
    if options.json:
        print(json.dumps(results(answers, bundle)))
    else:
        done = len(answers.predictions) if answers.predictions is not None else 0
        for line in results(answers, bundle)[: min(done, 20)]:
            probabilities = line["probabilities"]
            if isinstance(probabilities, dict):
                print(f"{line['case']}  {line['predicted']}  {probabilities[line['predicted']]:.3f}")
        print(f"{done} done, {len(answers.failures)} failed, in {folder}. {bundle.disclaimer}")
    return SOME_FAILED if answers.failures else 0


def _explain(options: argparse.Namespace, bundle: Bundle, folder: Path) -> None:
    """Write the maps of what was predicted; what could not be read is named with the predictions."""
    from monai_brain.inference import explain, overlays

    found = explain.explain(
        bundle, options.inputs, weights=options.weights, device=options.device, failures=[], progress=None
    )
    overlays.write(found, bundle, folder)


def demo(options: argparse.Namespace) -> None:
    """The main job from beginning to end, on phantoms."""
    from monai_brain.demo import run

    run(Path(options.output), say=lambda text: print(text, flush=True))
