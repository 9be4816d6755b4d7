"""One training: from a bundle's recipe and a datalist to a run folder.

The functions named by the recipes (`items`, `judged`, `prepare`, `conclude`, `judge`) are here, so that
`python -m monai.bundle run` and `train` give the same run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import ignite.distributed as idist
from monai.data.meta_obj import set_track_meta
from monai.utils import set_determinism

from monai_brain import recipe, registry
from monai_brain.bundles import Bundle
from monai_brain.data import datalist as datalists
from monai_brain.data.schema import numbered
from monai_brain.errors import ConfigurationError, UnknownNameError
from monai_brain.evaluation import predictions
from monai_brain.files import read_json, write_json
from monai_brain.inference import decision
from monai_brain.inference import weights as network_weights
from monai_brain.training import own_classes, run_folder
from monai_brain.training.checkpoints import outcome

_LOG = logging.getLogger(__name__)
Item = dict[str, Any]
Side = Literal["train", "validation", "test"]


def train(
    model: str | os.PathLike[str] | Bundle,
    datalist: str | os.PathLike[str],
    fold: int | None = 0,
    *,
    weights: str | os.PathLike[str] = "scratch",
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    variant: str | None = None,
    rename: Mapping[str, str] | None = None,
    new_head: bool = False,
    overlays: Sequence[str] = (),
    tracking: str | None = None,
    **overrides: Any,
) -> Path:
    """Train a model on one fold and judge it on the part it never saw; gives the run folder.

    Args:
        model: a registered name, a bundle folder or a run folder.
        datalist: a datalist file whose folds are set.
        fold: the fold that is held out; None to train on every image, which leaves nothing to judge by.
        weights: "scratch", "imagenet", "shipped", a .pt file or a run folder.
        run_dir: where the run goes; by default ./runs/MODEL/fold_K.
        resume: go on from the last checkpoint in run_dir.
        variant: one of the bundle's variants.
        rename: the datalist's class names on the left, the model's on the right.
        new_head: train for the datalist's own classes; all weights but the head's are kept.
        overlays: further recipes of the bundle, laid over train.json.
        tracking: address of an MLflow server or database (sqlite:///mlflow.db) that records the run too.
        overrides: values of the recipe's keys; nested ones as `**{"train#trainer#max_epochs": 5}`.

    Raises:
        MonaiBrainError: Whatever is wrong with the model, the data, the recipe or the run.
    """
    bundle = registry.bundle(model)
    part = "all" if fold is None else f"fold_{fold}"
    folder = Path(run_dir) if run_dir is not None else Path("runs") / (variant or bundle.name) / part
    chosen = {**variant_settings(bundle, variant, weights), **overrides}
    settings = {
        "start_weights": str(weights),
        **own_classes.settings(bundle, datalist, rename or {}, new_head, chosen),
        **variant_settings(bundle, variant, weights),
        **({} if fold is not None else _held_out_by_nobody(bundle)),
        "datalist": str(Path(datalist).resolve()),
        "fold": "$None" if fold is None else fold,
        "run_dir": str(folder.resolve()),
        "resume": resume,
        **overrides,
    }
    workflow = recipe.workflow(bundle, ["train", *overlays], settings, kind="train", tracking=tracking)
    try:
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    except Exception as error:
        cause = recipe.failure(error)
        if cause is None or cause is error:
            raise
        raise cause from error
    finally:
        set_track_meta(True)
    return folder


def variant_settings(
    bundle: Bundle, variant: str | None, weights: str | os.PathLike[str] = "scratch"
) -> dict[str, Any]:
    """What a variant sets in the recipe; weights that are asked for go before those that it starts from.

    Raises:
        UnknownNameError: The bundle has no such variant.
    """
    settings = network_weights.variant(bundle, variant)
    if weights != "scratch":
        settings.pop("start_weights", None)
    return {**settings, **({"variant": variant} if variant else {})}


def _held_out_by_nobody(bundle: Bundle) -> dict[str, Any]:
    """The recipe of a training on every image: no validation, so the last weights are kept, and no test."""
    handlers = read_json(bundle.config("train"))["train"]["handlers"]
    kept = [
        handler
        for handler in handlers
        if handler["_target_"] != "monai.handlers.ValidationHandler" and "step_transform" not in handler
    ]
    return {
        "train#handlers": kept,
        "validate#dataset#data": "$@train#dataset#data[:1]",
        "run": ["$@train#trainer.run()", "$workflow.conclude(@run_dir)"],
    }


def items(
    datalist: str | Mapping[str, Any],
    fold: int | None,
    side: Side,
    labels: Sequence[str],
    rename: Mapping[str, str] | None = None,
) -> list[Item]:
    """The images and label indices of one side of a fold, with nothing a batch cannot hold."""
    found = datalists.part(datalist, fold, side, labels, rename)
    keys = ("image", "frame", "label")
    return [
        {key: item[key] for key in keys if key in item} | {"case": _case(item, datalist)} for item in found
    ]


def copied(items: Sequence[Item], copies: Mapping[str, int], labels: Sequence[str]) -> list[Item]:
    """The items with those of each named class repeated so many times, to be augmented differently.

    Raises:
        UnknownNameError: A class that the model does not know.
    """
    for name in copies:
        if name not in labels:
            raise UnknownNameError("class in copies", name, labels)
    times = [int(copies.get(name, 1)) for name in labels]
    return [item for item in items for _ in range(times[item["label"]])]


def judged(
    datalist: str | Mapping[str, Any],
    fold: int,
    labels: Sequence[str],
    rename: Mapping[str, str] | None = None,
) -> list[Item]:
    """The validation and the test items of a fold, with all that the datalist says of them."""
    found: list[Item] = []
    sides: tuple[Side, ...] = ("validation", "test")
    for side in sides:
        for item in datalists.part(datalist, fold, side, labels, rename):
            kept = {key: value for key, value in item.items() if key != "validates"}
            found.append({**kept, "fold": fold, "split": side, "case": _case(item, datalist)})
    return found


def prepare(
    run_dir: str, bundle_root: str, datalist: str | Mapping[str, Any], seed: int, resume: bool, device: Any
) -> None:
    """Begin the run folder with the recipe as resolved, and fix every source of chance.

    The device is asked for so that the processes of one training have met before the first one writes.
    """
    if not idist.get_rank():
        run_folder.begin(run_dir, bundle_root, recipe.running(), datalist, resume, device)
    idist.barrier()
    # Metadata costs time at every operation of every epoch, and training looks at none of it.
    set_track_meta(False)
    set_determinism(seed)
    _LOG.info("run: %s, on %s", run_dir, device)


def conclude(run_dir: str) -> None:
    """Record how the training went; from here on the run folder is a model."""
    if not idist.get_rank():
        run_folder.finish(run_dir, outcome(run_dir))
    idist.barrier()


def require_run(run_dir: str) -> None:
    """Refuse to evaluate a folder that holds no trained model.

    Raises:
        ConfigurationError: There is none.
    """
    if not (Path(run_dir) / "configs" / "metadata.json").is_file():
        raise ConfigurationError(f"{run_dir} is no run: train first, or name the run by --run_dir.")


def judge(run_dir: str) -> None:
    """Compute metrics.json from the run's predictions.csv."""
    from monai_brain.evaluation.judge import evaluate, summary

    if idist.get_rank():
        return
    path = Path(run_dir) / run_folder.PREDICTIONS_FILE
    decision.keep_temperature(run_dir, predictions.read(path))
    metrics = evaluate(path, leakage=run_folder.leakage(run_dir))
    write_json(Path(run_dir) / run_folder.JUDGEMENT_FILE, metrics)
    _LOG.info("judged: %s\n%s", run_dir, summary(metrics))


def _case(item: Mapping[str, Any], datalist: str | Mapping[str, Any]) -> str:
    """An item's name: the one it bears, else its image's path as the datalist gives it, and its frame."""
    if item.get("case"):
        return str(item["case"])
    image = str(item["image"])
    if not isinstance(datalist, Mapping):
        image = Path(os.path.relpath(image, Path(datalist).resolve().parent)).as_posix()
    return numbered(image, item.get("frame"))
