"""explain, calibrate, export, report."""

from __future__ import annotations

from typing import Any

from monai_brain.cli.command import command, output
from monai_brain.cli.declare.inference import NAMES

CAM_METHODS = ("gradcam", "gradcam++", "layercam", "eigencam", "scorecam")


def declare(commands: Any) -> None:
    """Add the commands."""
    explain = command(
        commands, "explain", "maps of where the evidence lies", "monai_brain.cli.outputs:explain"
    )
    explain.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    explain.add_argument("inputs", nargs="*", metavar="INPUT", help="files, folders or globs")
    explain.add_argument("-o", "--output", metavar="DIR", help="default: ./runs/explain/MODEL")
    explain.add_argument("--method", choices=CAM_METHODS, default="gradcam", help="default: gradcam")
    explain.add_argument("--class", dest="target", metavar="NAME", help="default: the predicted class")
    explain.add_argument("--layer", metavar="L", help="a dotted name such as layer4.1; default: the bundle's")
    explain.add_argument("--weights", metavar="FILE|RUN", help="instead of the model's own weights")
    explain.add_argument("--device", metavar="NAME", help="cuda or cpu; default: the GPU where there is one")
    explain.add_argument(
        "--names", choices=NAMES, default="auto",
        help="how results call an input; auto: DICOM by a keyed hash, other files by their path",
    )  # fmt: skip
    explain.add_argument(
        "--boxes",
        metavar="FILE",
        help="instead of inputs a datalist with boxes: how well the maps point at them",
    )
    explain.add_argument("--fold", type=int, metavar="K", help="with --boxes: only what this fold tests")
    calibrate = command(
        commands, "calibrate", "fit when a model abstains", "monai_brain.cli.outputs:calibrate"
    )
    calibrate.add_argument("model", metavar="MODEL", help="a run folder, or a bundle folder with weights")
    calibrate.add_argument("--datalist", required=True, metavar="FILE", help="the one that it was trained on")
    calibrate.add_argument(
        "--fold", type=int, default=0, metavar="K", help="the fold that was held out; default: 0"
    )
    calibrate.add_argument("--weights", metavar="FILE|RUN", help="instead of the model's own weights")
    calibrate.add_argument(
        "--device", metavar="NAME", help="cuda or cpu; default: the GPU where there is one"
    )
    calibrate.add_argument(
        "--share", type=float, default=0.01, metavar="S",
        help="of the validation images each limit may give up; default: 0.01",
    )  # fmt: skip
    calibrate.add_argument(
        "--least-confidence", type=float, metavar="P", help="instead of a fitted one; 0 lets all pass"
    )
    calibrate.add_argument(
        "--outside", nargs="+", metavar="INPUT", help="images that it should abstain from, to see if it does"
    )
    export = command(commands, "export", "a model for other programs", "monai_brain.cli.outputs:export")
    export.add_argument("model", metavar="MODEL", help="a name, a bundle folder or a run folder")
    export.add_argument(
        "--format", required=True, metavar="F",
        help="a registered format: state_dict, torchscript, pt2, onnx, int8, zoo",
    )  # fmt: skip
    output(export, "FILE", "the file to write; for zoo a new folder")
    export.add_argument("--weights", metavar="FILE|RUN", help="instead of the model's own weights")
    export.add_argument("--variant", metavar="NAME", help="one of the model's variants")
    export.add_argument("--calibration", nargs="+", metavar="INPUT", help="images that int8 is measured on")
    export.add_argument(
        "--datalist", metavar="FILE", help="labelled images on which int8's loss of accuracy is measured"
    )
    export.add_argument(
        "--fold", type=int, default=0, metavar="K", help="the fold whose test part that is; default: 0"
    )
    report = command(
        commands, "report", "one HTML page about a run or an experiment", "monai_brain.cli.outputs:report"
    )
    report.add_argument(
        "run_folder", metavar="RUN", help="a run folder, an experiment's folder or a predictions file"
    )
    report.add_argument(
        "--qa",
        action="store_true",
        help="of a folder that predict wrote: how often images are incomplete, by month, view, side, station",
    )
    report.add_argument(
        "-o", "--output", metavar="FILE", help="default: report.html, with --qa qa.html, in the folder"
    )
    report.add_argument("--split", metavar="NAME", help="what is measured; default: test where there is one")
    report.add_argument("--no-images", dest="images", action="store_false", help="leave the images out")
    report.add_argument(
        "--maps",
        type=int,
        metavar="N",
        default=200,
        help="Grad-CAM maps at most, failures first; default: 200",
    )
    report.add_argument(
        "--also", metavar="FORMS", default="", help="further forms beside the page: md,svg,png,latex,csv"
    )
    report.add_argument(
        "--device", metavar="NAME", help="for maps: cuda or cpu; default: the GPU if there is one"
    )
    report.add_argument("--draws", type=int, metavar="N", default=2000, help="resamples; default: 2000")
    report.add_argument("--seed", type=int, metavar="N", default=0, help="of the resamples; default: 0")
