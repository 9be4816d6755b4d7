"""data index, data split, data landmarks, data join, data phantom, data incomplete."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import Parser, command, output

PHANTOMS = ("brain", "mammogram")
SCHEMES = ("patient", "kfold", "holdout", "paper", "cvind")
ROUNDINGS = ("floor", "ceil")


def declare(commands: Any) -> None:
    """Add the commands."""
    data = command(commands, "data", "images to datalists, datalists to folds", None)
    actions = data.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    index = command(actions, "index", "make a datalist of a dataset", "monai_brain.cli.data:index")
    index.add_argument("kind", metavar="KIND", help="a registered kind of dataset, for example folders")
    index.add_argument("path", metavar="PATH", help="where the dataset is")
    output(index, "FILE", "the datalist to write")
    index.add_argument(
        "--column", action="append", default=[], metavar="OURS=THEIRS",
        help="a table's name for file, label, patient_id, group, source or frame, for example label=finding",
    )  # fmt: skip
    index.add_argument("--labels", metavar="TABLE", help="a table of labels, for kinds whose files have none")
    index.add_argument(
        "--map", action="append", default=[], metavar="THEIRS=OURS", help="another name for a class"
    )
    index.add_argument("--workers", type=int, metavar="N", help="files read at a time; default: processors")
    index.add_argument(
        "--no-cache", action="store_true", help="do not keep FILE.index.sqlite, which spares the next run"
    )
    split = command(actions, "split", "put a datalist's images into folds", "monai_brain.cli.data:split")
    split.add_argument("file", metavar="FILE", help="a datalist")
    split.add_argument("--scheme", choices=SCHEMES, default="patient", help="how; default: patient")
    split.add_argument("--folds", type=int, default=5, metavar="K", help="how many; default: 5")
    split.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw; default: 0")
    split.add_argument(
        "--allow-leakage",
        action="store_true",
        help="let one patient stand on both sides, and mark the datalist so",
    )
    split.add_argument(
        "--draw", action="append", default=[], metavar="CLASS=N",
        help="first keep exactly N images of a class, by whole groups drawn with the seed",
    )  # fmt: skip
    split.add_argument(
        "--validation", type=float, metavar="SHARE",
        help="of the images outside the test part, which share validates; default: as the scheme says",
    )  # fmt: skip
    split.add_argument(
        "--rounding", choices=ROUNDINGS, default=ROUNDINGS[0],
        help="of the scheme paper: floor as in arXiv 2512.03751, ceil as in 10.19651/j.cnki.emt.2519530; "
        "default: floor",
    )  # fmt: skip
    output(split, "FILE", "the datalist to write")
    landmarks = command(
        actions, "landmarks", "learn grey-value landmarks from a fold's training images",
        "monai_brain.cli.data:landmarks",
    )  # fmt: skip
    landmarks.add_argument("file", metavar="FILE", help="a datalist with folds")
    landmarks.add_argument("--fold", type=int, default=0, metavar="K", help="the one held out; default: 0")
    output(landmarks, "FILE", "the landmarks to write")
    join = command(actions, "join", "several datalists as one", "monai_brain.cli.data:join")
    join.add_argument(
        "files", nargs="+", metavar="FILE", help="two or more datalists; their folds are dropped"
    )
    join.add_argument(
        "--no-duplicates", dest="duplicates", action="store_false",
        help="do not look for the same picture in two of them, which opens every image",
    )  # fmt: skip
    output(join, "FILE", "the datalist to write")
    phantom = command(
        actions, "phantom", "images made from a seed, to try things with", "monai_brain.cli.data:phantom"
    )
    phantom.add_argument("kind", choices=PHANTOMS, help="what they resemble")
    phantom.add_argument("--n", type=int, default=400, metavar="N", help="how many images; default: 400")
    phantom.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw; default: 0")
    phantom.add_argument("--size", type=int, default=128, metavar="PX", help="their sides; default: 128")
    phantom.add_argument("--classes", metavar="A,B,...", help="only these, in this order; default: all")
    output(phantom, "DIR", "the folder to write")
    incomplete = command(
        actions,
        "incomplete",
        "make complete and incomplete mammograms of whole ones",
        "monai_brain.cli.data:incomplete",
    )
    incomplete.add_argument(
        "source", metavar="SRC", help="whole mammograms: a datalist, a table, mini-MIAS or a folder"
    )
    incomplete.add_argument("--n", type=int, default=1000, metavar="N", help="how many images; default: 1000")
    incomplete.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw; default: 0")
    incomplete.add_argument("--size", type=int, default=256, metavar="PX", help="their sides; default: 256")
    incomplete.add_argument(
        "--workers", type=int, metavar="N", help="films worked on at a time; default: processors"
    )
    incomplete.add_argument("--contact-sheet", action="store_true", help="write DIR/contact_sheet.png too")
    output(incomplete, "DIR", "the folder to write")
