"""predict."""

from __future__ import annotations

import argparse
from typing import Any

from monai_brain.cli.command import command
from monai_brain.cli.declare.dicom import delivery

SERIES_RULES = ("mean", "max")

NAMES = ("auto", "hashed", "plain")
PLANES = ("axial", "coronal", "sagittal")


def declare(commands: Any) -> None:
    """Add the commands."""
    predict = command(commands, "predict", "probabilities for images", "monai_brain.cli.predict:predict")
    predict.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    predict.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="files, folders, globs, zips, or @FILE for a list of them"
    )
    predict.add_argument(
        "--list", dest="lists", action="append", default=[], metavar="FILE", help="one input in each line"
    )
    predict.add_argument("-o", "--output", metavar="DIR", help="default: ./runs/predict/MODEL")
    model_options(predict)
    predict.add_argument("--explain", action="store_true", help="also write maps of where the evidence lies")
    predict.add_argument(
        "--exam", action="store_true", help="also one row an examination: exams.csv, exams.jsonl"
    )
    predict.add_argument(
        "--choose-series",
        action="store_true",
        help="of DICOM files only the series that the model's rule takes",
    )
    predict.add_argument(
        "--explain-selection",
        action="store_true",
        help="the same, and say of each series why it is taken or not",
    )
    predict.add_argument(
        "--watch", metavar="FOLDER", help="answer each examination that arrives there, for ever"
    )
    predict.add_argument(
        "--quiet", type=float, default=30.0, metavar="SECONDS",
        help="with --watch: an examination is complete when it has not changed for so long; default: 30",
    )  # fmt: skip
    predict.add_argument(
        "--poll", type=float, default=2.0, metavar="SECONDS", help="with --watch: look so often; default: 2"
    )
    predict.add_argument(
        "--listen", metavar="AET@HOST:PORT", help="with --watch: receive images there, into the folder"
    )
    predict.add_argument(
        "--from", dest="known", action="append", default=[], metavar="AET",
        help="with --listen: a title that may send",
    )  # fmt: skip
    predict.add_argument("--parquet", action="store_true", help="also write predictions.parquet")
    predict.add_argument(
        "--restart", action="store_true", help="begin anew instead of going on where an earlier start ended"
    )
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


def model_options(parser: argparse.ArgumentParser) -> None:
    """How the model is asked, and how inputs are called."""
    parser.add_argument("--weights", metavar="FILE|RUN", help="instead of the model's own weights")
    parser.add_argument("--device", metavar="NAME", help="cuda or cpu; default: the GPU where there is one")
    parser.add_argument("--batch-size", type=int, metavar="N", help="default: the recipe's")
    parser.add_argument("--threads", type=int, metavar="N", help="that read images; default: one a core")
    parser.add_argument(
        "--names", choices=NAMES, default="auto",
        help="how results call an input; auto: DICOM by a keyed hash, other files by their path",
    )  # fmt: skip
    parser.add_argument(
        "--join", metavar="FILE", help="which file a hash stands for; default: in MONAI_BRAIN_HOME"
    )
    parser.add_argument("--plane", choices=PLANES, help="cut volumes along it; default: as they are stored")
    parser.add_argument("--force", action="store_true", help="ask the model whatever its gates say")
