"""Every command and option. The functions they call are imported when they are called."""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from monai_brain import __version__
from monai_brain.errors import did_you_mean

if TYPE_CHECKING:
    from monai_brain.offers import Offer

Run = Callable[[argparse.Namespace], int | None]
CAM_METHODS = ("gradcam", "gradcam++", "layercam", "eigencam", "scorecam")
PHANTOMS = ("brain", "mammogram")
SCHEMES = ("patient", "kfold", "holdout", "paper", "cvind")


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Name the mistake and where help is, and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of one command; `run` is the function that it calls."""
    parser, commands = build()
    named = next((word for word in argv if not word.startswith("-")), None)
    if named is None or named not in commands.choices:
        # Only now, because it costs a scan of all installed distributions.
        add_plugin_commands(commands)
    if named is not None and named not in commands.choices:
        parser.error(f"unknown command {named!r}. {did_you_mean(named, commands.choices)}")
    options = parser.parse_args(argv)
    if not hasattr(options, "run"):
        parser.print_help(sys.stdout)
        options.run = lambda _: 0
    return options


def build() -> tuple[Parser, Any]:
    """The parser with all built-in commands, and the place where further ones are added."""
    parser = Parser(
        prog="monai-brain", description="2D medical image classifiers as MONAI bundles.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"monai-brain {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    _models(commands)
    _data(commands)
    _training(commands)
    _inference(commands)
    _outputs(commands)
    _checking(commands)
    return parser, commands


def add_plugin_commands(commands: Any) -> None:
    """Add what the plugins register; a built-in's name is never given away."""
    from monai_brain.registry import registry

    for offer in registry().commands.values():
        if offer.name not in commands.choices:
            command = _command(commands, offer.name, offer.help, functools.partial(_offered, offer))
            if offer.arguments is not None:
                offer.arguments(command)


def _offered(offer: Offer, options: argparse.Namespace) -> int | None:
    status: int | None = offer.load()(options)
    return status


def _models(commands: Any) -> None:
    _command(
        commands,
        "list",
        "the installed models, and plugins that are broken",
        "monai_brain.cli.models:list_models",
    )
    info = _command(commands, "info", "what a model is", "monai_brain.cli.models:info")
    info.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    only = info.add_mutually_exclusive_group()
    only.add_argument("--path", action="store_true", help="print only the bundle's folder")
    only.add_argument("--bibtex", action="store_true", help="print only the paper's BibTeX entry")
    copy = _command(commands, "copy", "a writable copy of a model's bundle", "monai_brain.cli.models:copy")
    copy.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    copy.add_argument("folder", metavar="DIR", help="a new folder")


def _data(commands: Any) -> None:
    data = _command(commands, "data", "images to datalists, datalists to folds", None)
    actions = data.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    index = _command(actions, "index", "make a datalist of a dataset", "monai_brain.cli.data:index")
    index.add_argument("kind", metavar="KIND", help="a registered kind of dataset, for example folders")
    index.add_argument("path", metavar="PATH", help="where the dataset is")
    _output(index, "FILE", "the datalist to write")
    index.add_argument(
        "--column", action="append", default=[], metavar="OURS=THEIRS",
        help="a table's name for file, label, patient_id, group or source, for example label=finding",
    )  # fmt: skip
    index.add_argument("--labels", metavar="TABLE", help="a table of labels, for kinds whose files have none")
    index.add_argument(
        "--map", action="append", default=[], metavar="THEIRS=OURS", help="another name for a class"
    )
    index.add_argument("--workers", type=int, metavar="N", help="files read at a time; default: processors")
    index.add_argument(
        "--no-cache", action="store_true", help="do not keep FILE.index.sqlite, which spares the next run"
    )
    split = _command(actions, "split", "put a datalist's images into folds", "monai_brain.cli.data:split")
    split.add_argument("file", metavar="FILE", help="a datalist")
    split.add_argument("--scheme", choices=SCHEMES, default="patient", help="how; default: patient")
    split.add_argument("--folds", type=int, default=5, metavar="K", help="how many; default: 5")
    split.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw; default: 0")
    split.add_argument(
        "--allow-leakage",
        action="store_true",
        help="let one patient stand on both sides, and mark the datalist so",
    )
    _output(split, "FILE", "the datalist to write")
    phantom = _command(
        actions, "phantom", "images made from a seed, to try things with", "monai_brain.cli.data:phantom"
    )
    phantom.add_argument("kind", choices=PHANTOMS, help="what they resemble")
    phantom.add_argument("--n", type=int, default=400, metavar="N", help="how many images; default: 400")
    phantom.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw; default: 0")
    phantom.add_argument("--size", type=int, default=128, metavar="PX", help="their sides; default: 128")
    phantom.add_argument("--classes", metavar="A,B,...", help="only these, in this order; default: all")
    _output(phantom, "DIR", "the folder to write")


def _training(commands: Any) -> None:
    train = _command(
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
    train.add_argument("--variant", metavar="NAME", help="one of the model's variants")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --run-dir")
    train.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
        help="a value of the recipe, for example max_epochs=20 or optimizer#weight_decay=1e-4",
    )  # fmt: skip
    evaluate = _command(
        commands, "evaluate", "figures with intervals from predictions", "monai_brain.cli.runs:evaluate"
    )
    evaluate.add_argument("predictions", metavar="FILE|RUN", help="a predictions.csv or a run folder")
    evaluate.add_argument("-o", "--output", metavar="FILE", help="also write the figures as JSON")
    evaluate.add_argument(
        "--draws", type=int, default=2000, metavar="N", help="bootstrap draws; default: 2000"
    )
    evaluate.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap; default: 0")
    demo = _command(
        commands, "demo", "train, evaluate and predict on phantoms, in minutes", "monai_brain.cli.runs:demo"
    )
    demo.add_argument("-o", "--output", default="runs/demo", metavar="DIR", help="default: runs/demo")


def _inference(commands: Any) -> None:
    predict = _command(commands, "predict", "probabilities for images", "monai_brain.cli.runs:predict")
    predict.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    predict.add_argument("inputs", nargs="+", metavar="INPUT", help="files, folders or globs")
    predict.add_argument("-o", "--output", metavar="DIR", help="default: ./runs/predict/MODEL")
    predict.add_argument("--weights", metavar="FILE|RUN", help="instead of the model's own weights")
    predict.add_argument("--device", metavar="NAME", help="cuda or cpu; default: the GPU where there is one")
    predict.add_argument("--explain", action="store_true", help="also write maps of where the evidence lies")
    predict.add_argument("--batch-size", type=int, metavar="N", help="default: the recipe's")


def _outputs(commands: Any) -> None:
    explain = _command(
        commands, "explain", "maps of where the evidence lies", "monai_brain.cli.outputs:explain"
    )
    explain.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    explain.add_argument("inputs", nargs="+", metavar="INPUT", help="files, folders or globs")
    explain.add_argument("-o", "--output", metavar="DIR", help="default: ./runs/explain/MODEL")
    explain.add_argument("--method", choices=CAM_METHODS, default="gradcam", help="default: gradcam")
    explain.add_argument("--class", dest="target", metavar="NAME", help="default: the predicted class")
    explain.add_argument("--layer", metavar="L", help="a dotted name such as layer4.1; default: the bundle's")
    explain.add_argument("--weights", metavar="FILE|RUN", help="instead of the model's own weights")
    explain.add_argument("--device", metavar="NAME", help="cuda or cpu; default: the GPU where there is one")
    export = _command(commands, "export", "a model for other programs", "monai_brain.cli.outputs:export")
    export.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    export.add_argument(
        "--format", required=True, metavar="F",
        help="a registered format: state_dict, torchscript, pt2, onnx, int8, zoo",
    )  # fmt: skip
    _output(export, "FILE", "the file to write; for zoo a new folder")
    export.add_argument("--weights", metavar="FILE|RUN", help="instead of the model's own weights")
    export.add_argument("--variant", metavar="NAME", help="one of the model's variants")
    export.add_argument("--calibration", nargs="+", metavar="INPUT", help="images that int8 is measured on")
    report = _command(commands, "report", "one HTML page about a run", "monai_brain.cli.outputs:report")
    report.add_argument("run_folder", metavar="RUN", help="a run folder or a predictions file")
    report.add_argument("-o", "--output", metavar="FILE", help="default: report.html in the run folder")
    report.add_argument("--split", metavar="NAME", help="what is measured; default: test where there is one")
    report.add_argument("--no-images", dest="images", action="store_false", help="leave the images out")


def _checking(commands: Any) -> None:
    check = _command(
        commands, "check", "whether a model meets what is asked of every model", "monai_brain.cli.check:run"
    )
    check.add_argument("model", metavar="MODEL|PATH", help="a name, a bundle folder or a run folder")
    check.add_argument("--only", nargs="+", metavar="NAME", help="the names of checks; default: all")


def _command(commands: Any, name: str, text: str, run: str | Run | None) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
    )
    command.add_argument("--json", action="store_true", help="print JSON for programs")
    command.add_argument("--debug", action="store_true", help="with an error, print the traceback")
    if run is not None:
        command.set_defaults(run=_later(run) if isinstance(run, str) else run)
    return command


def _later(target: str) -> Run:
    module, _, function = target.partition(":")

    def run(options: argparse.Namespace) -> int | None:
        found: Run = getattr(importlib.import_module(module), function)
        return found(options)

    return run


def _output(command: argparse.ArgumentParser, metavar: str, text: str) -> None:
    command.add_argument("-o", "--output", required=True, metavar=metavar, help=text)
