"""predict."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command
from monai_brain.cli.declare.dicom import delivery

SERIES_RULES = ("mean", "max")


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
    predict.add_argument("--dicom", action="store_true", help="also write DICOM reports, with --explain maps")
    predict.add_argument(
        "--deidentified", action="store_true", help="DICOM for research: no names, dates, UIDs"
    )
    predict.add_argument(
        "--series-rule", choices=SERIES_RULES, default="mean", help="from slices to a report; default: mean"
    )
    predict.add_argument(
        "--series-number", type=int, default=9100, metavar="N", help="of the reports; default: 9100"
    )
    predict.add_argument(
        "--send", metavar="ADDRESS", help="send the DICOM objects: dicom://... or https://..."
    )
    delivery(predict)
