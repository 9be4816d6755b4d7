"""cross-validate, ablate, compare, transfer, robustness."""

from __future__ import annotations

import argparse
from typing import Any

from monai_brain.cli.command import command, recipes
from monai_brain.cli.declare.data import SCHEMES

_MODEL = "a name or a bundle folder"
_TRAINED = "a run folder, a cross-validation's folder, or a model with weights"


def declare(commands: Any) -> None:
    """Add the commands."""
    cross = command(
        commands,
        "cross-validate",
        "train a model once a fold, and judge all images together",
        "monai_brain.cli.experiments:cross_validate",
    )
    cross.add_argument("model", metavar="MODEL", help=_MODEL)
    cross.add_argument("--datalist", required=True, metavar="FILE", help="a datalist, with folds or without")
    cross.add_argument("--folds", type=int, metavar="K", help="how many; default: the datalist's own, else 5")
    cross.add_argument(
        "--scheme", nargs="+", choices=SCHEMES, metavar="NAME",
        help="how to split: patient, kfold, ...; of several the first is compared with the others",
    )  # fmt: skip
    cross.add_argument(
        "--repeats", type=int, default=1, metavar="R", help="each with other folds; default: 1"
    )
    cross.add_argument(
        "--refit", action="store_true", help="also train one model on everything, as long as the folds needed"
    )
    cross.add_argument(
        "--allow-leakage", action="store_true",
        help="let one patient stand on both sides, and mark the result so",
    )  # fmt: skip
    cross.add_argument(
        "--shuffle-labels", action="store_true",
        help="a control: deal the labels anew among groups first; the result must be chance",
    )  # fmt: skip
    cross.add_argument(
        "--shortcut", action="store_true",
        help="a control: judge a logistic regression on grey levels and sizes beside the network",
    )  # fmt: skip
    cross.add_argument("--seed", type=int, default=0, metavar="N", help="of split and training; default: 0")
    cross.add_argument("--variant", metavar="NAME", help="one of the model's variants")
    _training(cross, "./runs/cross-validation/MODEL")
    ablate = command(
        commands,
        "ablate",
        "train a model's variants on the same folds, and compare them",
        "monai_brain.cli.experiments:ablate",
    )
    ablate.add_argument("model", metavar="MODEL", help=_MODEL)
    ablate.add_argument("--datalist", required=True, metavar="FILE", help="a datalist with folds")
    ablate.add_argument(
        "--variants", metavar="A,B,...", help="default: those of the paper's table, else all of the model's"
    )
    _contest(ablate)
    _training(ablate, "./runs/ablation/MODEL")
    compare = command(
        commands,
        "compare",
        "train models on the same folds, or take finished ones, and compare them",
        "monai_brain.cli.experiments:compare",
    )
    compare.add_argument(
        "models", nargs="+", metavar="MODEL",
        help="MODEL or MODEL:VARIANT to train; a run, an experiment's folder or a predictions file as it is",
    )  # fmt: skip
    compare.add_argument("--datalist", metavar="FILE", help="a datalist with folds, if any is to be trained")
    compare.add_argument(
        "--against", metavar="NAME", help="compare all others with this one; default: each with each"
    )
    _contest(compare)
    _training(compare, "./runs/comparison")
    _declare_judging(commands)


def _declare_judging(commands: Any) -> None:
    """Add the experiments on a model that is trained already."""
    transfer = command(
        commands,
        "transfer",
        "judge a trained model on images from elsewhere",
        "monai_brain.cli.experiments:transfer",
    )
    transfer.add_argument("model", metavar="MODEL", help=_TRAINED)
    transfer.add_argument("--datalist", required=True, metavar="FILE", help="the other images")
    transfer.add_argument(
        "--map", action="append", default=[], metavar="THEIRS=OURS", help="another name for a class"
    )
    transfer.add_argument(
        "--trained-on", metavar="FILE",
        help="the datalist that the model was trained on; default: the one that its run names",
    )  # fmt: skip
    transfer.add_argument(
        "--keep-duplicates", action="store_true", help="do not look for copies of training images"
    )
    _judging(transfer, "./runs/transfer/MODEL")
    robustness = command(
        commands,
        "robustness",
        "judge a trained model on images with faults of rising severity",
        "monai_brain.cli.experiments:robustness",
    )
    robustness.add_argument("model", metavar="MODEL", help=_TRAINED)
    robustness.add_argument("--datalist", required=True, metavar="FILE", help="a datalist with folds")
    robustness.add_argument(
        "--fold", type=int, default=0, metavar="K", help="whose test part is judged; default: 0"
    )
    robustness.add_argument(
        "--faults", metavar="A,B,...", help="default: all that befall the model's kind of image"
    )
    robustness.add_argument(
        "--severities", nargs="+", type=int, metavar="S", help="grades from 1 to 5; default: all"
    )
    robustness.add_argument("--seed", type=int, default=0, metavar="N", help="of the faults; default: 0")
    _judging(robustness, "./runs/robustness/MODEL")


def _judging(parser: argparse.ArgumentParser, place: str) -> None:
    """Add what both take."""
    parser.add_argument("-o", "--output", metavar="DIR", help=f"default: {place}")
    parser.add_argument("--weights", metavar="FILE|RUN", help="instead of the model's own weights")
    parser.add_argument("--device", metavar="NAME", help="cuda or cpu; default: the GPU where there is one")


def _contest(parser: argparse.ArgumentParser) -> None:
    """Add what an ablation and a comparison both take."""
    parser.add_argument("--fold", nargs="+", metavar="K", help="numbers of folds, or all; default: the first")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of every training; default: 0")
    parser.add_argument(
        "--shuffle-labels", action="store_true",
        help="a control: deal the labels anew among groups first; the result must be chance",
    )  # fmt: skip


def _training(parser: argparse.ArgumentParser, place: str) -> None:
    """Add what every experiment that trains takes."""
    parser.add_argument("-o", "--output", metavar="DIR", help=f"default: {place}")
    parser.add_argument(
        "--from", dest="weights", default="scratch", metavar="WEIGHTS",
        help="scratch, imagenet, shipped, a .pt file or a run folder; default: scratch",
    )  # fmt: skip
    recipes(parser)
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
        help="a value of the recipe, for example max_epochs=20",
    )  # fmt: skip
    parser.add_argument(
        "--cluster", metavar="WHERE",
        help="local:N for N processes, or a Dask scheduler, tcp://HOST:PORT; default: one after another",
    )  # fmt: skip
    stage = parser.add_mutually_exclusive_group()
    stage.add_argument(
        "--plan", action="store_true", help="list the jobs with hours, disk and GPU memory, and start none"
    )
    stage.add_argument("--job", type=int, metavar="K", help="run only the job with this number")
    stage.add_argument("--collect", action="store_true", help="run none, and join what the jobs have given")
