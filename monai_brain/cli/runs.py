"""train, evaluate, demo."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from monai_brain import recipe
from monai_brain.bundles import WEIGHTS_FILE, Bundle
from monai_brain.errors import ConfigurationError

if TYPE_CHECKING:
    from monai_brain.evaluation.predictions import Predictions
    from monai_brain.evaluation.thresholds import Threshold


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
        overlays=options.overlays,
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
    from monai_brain.evaluation import judge, predictions
    from monai_brain.evaluation.summary import by_subgroup
    from monai_brain.files import write_json
    from monai_brain.training import run_folder

    source = Path(options.predictions)
    told = run_folder.leakage(source) if source.is_dir() else None
    path = source / run_folder.PREDICTIONS_FILE if source.is_dir() else source
    rows, threshold = None, None
    if options.aim:
        rows, threshold = _aimed(options.aim, source, predictions.read(path))
    metrics = judge.evaluate(
        path if rows is None else rows,
        leakage=told,
        draws=options.draws,
        seed=options.seed,
        subgroups=options.by,
        patient_rule=options.patient_rule,
    )
    if threshold is not None:
        metrics["threshold"] = threshold.as_json()
    if options.output:
        write_json(options.output, metrics)
    if options.json:
        print(json.dumps(metrics))
        return
    print(judge.summary(metrics))
    if options.by:
        print(by_subgroup(metrics))
    if threshold is not None:
        kept = "; kept with the run, and used by predict" if _is_model(source) else ""
        print(
            f"{threshold.class_name} from {threshold.value:.4g} on: sensitivity {threshold.sensitivity:.3f}, "
            f"false alarms {threshold.false_alarm_rate:.3f}, "
            f"on {threshold.positives + threshold.negatives} validation cases{kept}."
        )


def _aimed(aim: str, source: Path, rows: Predictions) -> tuple[Predictions, Threshold]:
    """The rows by the threshold for an aim, which a run keeps; the run's temperature is applied first."""
    from monai_brain.evaluation.thresholds import apply_threshold, choose_threshold
    from monai_brain.inference import decision

    if not _is_model(source):
        chosen = choose_threshold(rows, aim)
        return apply_threshold(rows, chosen.class_name, chosen.value), chosen
    kept = decision.of(Bundle.at(source))
    calibrated = decision.Decision(kept.temperature).apply(rows)
    chosen = decision.keep_threshold(source, calibrated, aim)
    return apply_threshold(calibrated, chosen.class_name, chosen.value), chosen


def _is_model(source: Path) -> bool:
    """Whether the source is a run, which has weights to keep a threshold with.

    A cross-validation's rows are its members', each by itself: a threshold for them is none for their mean.
    """
    if not (source / "configs" / "metadata.json").is_file() or not (source / WEIGHTS_FILE).is_file():
        return False
    return "members" not in Bundle.at(source).facts


def demo(options: argparse.Namespace) -> None:
    """The main job from beginning to end, on phantoms."""
    from monai_brain.demo import run

    run(Path(options.output), say=lambda text: print(text, flush=True))
