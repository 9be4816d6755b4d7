"""train, evaluate, demo."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command, recipes

PATIENT_RULES = ("mean", "majority")


def declare(commands: Any) -> None:
    """Add the commands."""
    train = command(
        commands, "train", "train a model on one fold of a datalist", "monai_brain.cli.runs:train"
    )
    train.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    train.add_argument("--datalist", required=True, metavar="FILE", help="a datalist with folds")
    train.add_argument(
        "--fold", type=int, default=0, metavar="K", help="the fold that is held out; default: 0"
    )
    train.add_argument("--run-dir", metavar="DIR", help="default: ./runs/MODEL/fold_K")
    train.add_argument(
        "--from", dest="weights", default="scratch", metavar="WEIGHTS",
        help="scratch, imagenet, shipped, a .pt file or a run folder; default: scratch",
    )  # fmt: skip
    train.add_argument(
        "--map", dest="rename", action="append", default=[], metavar="OLD=NEW",
        help="a class name of the datalist and what the model calls it",
    )  # fmt: skip
    train.add_argument(
        "--new-head", action="store_true", help="train for the datalist's own classes, with a new head"
    )
    recipes(train)
    train.add_argument(
        "--tracking", metavar="ADDRESS",
        help="an MLflow server or database that records the run too, for example sqlite:///mlflow.db",
    )  # fmt: skip
    train.add_argument("--variant", metavar="NAME", help="one of the model's variants")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --run-dir")
    train.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
        help="a value of the recipe, for example max_epochs=20 or optimizer#weight_decay=1e-4",
    )  # fmt: skip
    evaluate = command(
        commands, "evaluate", "figures with intervals from predictions", "monai_brain.cli.runs:evaluate"
    )
    evaluate.add_argument("predictions", metavar="FILE|RUN", help="a predictions.csv or a run folder")
    evaluate.add_argument("-o", "--output", metavar="FILE", help="also write the figures as JSON")
    evaluate.add_argument(
        "--draws", type=int, default=2000, metavar="N", help="bootstrap draws; default: 2000"
    )
    evaluate.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap; default: 0")
    evaluate.add_argument(
        "--aim", metavar="CLASS:MEASURE=SHARE",
        help="choose a threshold on validation cases, as incomplete:sensitivity=0.95; a run keeps it",
    )  # fmt: skip
    evaluate.add_argument(
        "--by", action="append", metavar="COLUMN",
        help="also measure each value of a column apart, for example plane, source or a meta column",
    )  # fmt: skip
    evaluate.add_argument(
        "--patient-rule", choices=PATIENT_RULES, default="mean", help="from slices to patients; default: mean"
    )
    demo = command(
        commands, "demo", "train, evaluate and predict on phantoms, in minutes", "monai_brain.cli.runs:demo"
    )
    demo.add_argument("-o", "--output", default="runs/demo", metavar="DIR", help="default: runs/demo")
