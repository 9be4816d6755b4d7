"""predict."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command


def declare(commands: Any) -> None:
    """Add the commands."""
    predict = command(commands, "predict", "probabilities for images", "monai_brain.cli.runs:predict")
    predict.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    predict.add_argument("inputs", nargs="+", metavar="INPUT", help="files, folders or globs")
    predict.add_argument("-o", "--output", metavar="DIR", help="default: ./runs/predict/MODEL")
    predict.add_argument("--weights", metavar="FILE|RUN", help="instead of the model's own weights")
    predict.add_argument("--device", metavar="NAME", help="cuda or cpu; default: the GPU where there is one")
    predict.add_argument("--explain", action="store_true", help="also write maps of where the evidence lies")
    predict.add_argument("--batch-size", type=int, metavar="N", help="default: the recipe's")
