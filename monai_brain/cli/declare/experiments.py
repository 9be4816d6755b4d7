"""cross-validate."""

from __future__ import annotations

import argparse
from typing import Any

from monai_brain.cli.command import command
from monai_brain.cli.declare.data import SCHEMES

_MODEL = "a name or a bundle folder"


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


def _training(parser: argparse.ArgumentParser, place: str) -> None:
    """Add what every experiment that trains takes."""
    parser.add_argument("-o", "--output", metavar="DIR", help=f"default: {place}")
    parser.add_argument(
        "--from", dest="weights", default="scratch", metavar="WEIGHTS",
        help="scratch, imagenet, shipped, a .pt file or a run folder; default: scratch",
    )  # fmt: skip
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
