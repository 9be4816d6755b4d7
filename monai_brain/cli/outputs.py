"""explain, calibrate, export, report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from monai_brain import registry
from monai_brain.errors import ConfigurationError

SOME_FAILED = 3


def explain(options: argparse.Namespace) -> int:
    """Write maps for all inputs, and name each that failed."""
    from monai_brain.inference import explain as explaining
    from monai_brain.inference import overlays
    from monai_brain.inference.predict import Failure

    if options.boxes:
        return _localise(options)
    if not options.inputs:
        raise ConfigurationError(
            "Nothing to explain. Name files, folders or globs, or a datalist by --boxes."
        )
    bundle, failures = registry.bundle(options.model), list[Failure]()
    folder = Path(options.output or Path("runs") / "explain" / bundle.name)
    found = explaining.explain(
        bundle,
        options.inputs,
        method=options.method,
        layer=options.layer,
        target=options.target,
        weights=options.weights,
        device=options.device,
        names=options.names,
        failures=failures,
        progress=None,
    )
    lines = overlays.write(found, bundle, folder)
    for failure in failures:
        print(f"{failure.case}: {failure.reason}", file=sys.stderr)
    if options.json:
        print(json.dumps(lines))
    else:
        print(f"{len(lines)} explained, {len(failures)} failed, in {folder}. {bundle.disclaimer}")
    return SOME_FAILED if failures else 0


def _localise(options: argparse.Namespace) -> int:
    """Hold the maps against the boxes of a datalist."""
    from monai_brain.files import write_json
    from monai_brain.inference.localise import localise

    found = localise(
        options.model,
        options.boxes,
        fold=options.fold,
        method=options.method,
        layer=options.layer,
        weights=options.weights,
        device=options.device,
        progress=None,
    )
    if options.output:
        write_json(Path(options.output) / "localisation.json", found)
    if options.json:
        print(json.dumps(found))
        return 0
    for name in ("model", "random weights", "image centre", "grid ceiling"):
        for measure, figure in found[name].items():
            low, high = (f"{end:.3f}" if end is not None else "-" for end in (figure["low"], figure["high"]))
            print(f"{name:15} {measure:14} {figure['value']:.3f} ({low} to {high})")
    print(f"{found['images']} images, {found['failed']} failed. {found['disclaimer']}")
    return 0


def calibrate(options: argparse.Namespace) -> None:
    """Fit when the model abstains, and say how often it does."""
    from monai_brain.inference.calibrate import calibrate as fit

    found = fit(
        options.model,
        options.datalist,
        options.fold,
        weights=options.weights,
        device=options.device,
        share=options.share,
        least_confidence=options.least_confidence,
        outside=options.outside,
        progress=None,
    )
    if options.json:
        print(json.dumps(found))
        return
    for name, figure in found["abstains"].items():
        interval = f"{figure['low']:.3f} to {figure['high']:.3f}"
        print(f"{name}: abstains from {figure['abstained']} of {figure['images']} images ({interval})")
    print(f"The limits are in {found['path']}. {found['disclaimer']}")


def export(options: argparse.Namespace) -> None:
    """Write a model in another form, and say what was written."""
    from monai_brain.files import sha256
    from monai_brain.inference import fidelity
    from monai_brain.inference.export import export as export_model

    path = export_model(
        options.model,
        options.format,
        options.output,
        weights=options.weights,
        variant=options.variant,
        calibration=options.calibration,
    )
    found = _told_apart(options, path)
    size = sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
    if options.json:
        digest = sha256(path) if path.is_file() else None
        written = {"path": str(path), "format": options.format, "bytes": size, "sha256": digest}
        told = {} if found is None else {"fidelity": found}
        print(json.dumps({"schema_version": 1, **written, **told}))
    else:
        print(f"{path}  {options.format}, {size / 1e6:.1f} MB. {registry.bundle(options.model).disclaimer}")
        if found is not None:
            print(fidelity.summary(found))


def _told_apart(options: argparse.Namespace, path: Path) -> dict[str, Any] | None:
    """How the 8-bit network's answers differ from the network's; other forms are held against it exactly."""
    from monai_brain.inference import fidelity
    from monai_brain.inference.predict import Predictor

    if options.format != "int8" and not options.datalist:
        return None
    if options.format not in ("int8", "onnx"):
        raise ConfigurationError(
            f"--datalist measures what onnx and int8 cost; the format is {options.format}."
        )
    if options.variant or options.weights == "random":
        if options.datalist:
            raise ConfigurationError("--datalist measures a model's own network: leave --variant out.")
        return None  # what was never trained has no accuracy to lose
    predictor = Predictor(options.model, options.weights, "cpu")
    return fidelity.fidelity(
        path, predictor, options.calibration, datalist=options.datalist, fold=options.fold
    )


def report(options: argparse.Namespace) -> None:
    """Write the page of a run."""
    if options.qa:
        _quality(options)
        return
    from monai_brain.reporting.page import report as write_report

    path = write_report(
        options.run_folder,
        options.output,
        split=options.split,
        images=options.images,
        most_maps=options.maps,
        also=[form.strip() for form in options.also.split(",") if form.strip()],
        device=options.device,
        draws=options.draws,
        seed=options.seed,
        progress=None,
    )
    print(json.dumps({"schema_version": 1, "path": str(path)}) if options.json else f"The report is {path}")


def _quality(options: argparse.Namespace) -> None:
    """Write the page of quality control."""
    from monai_brain.reporting import quality

    folder = Path(options.run_folder)
    found = quality.quality(folder, draws=options.draws, seed=options.seed)
    path = quality.write(found, Path(options.output) if options.output else folder / quality.PAGE_FILE)
    if options.json:
        print(json.dumps({**found, "path": str(path)}))
        return
    share = found["rate"]
    shown = "-" if share["value"] is None else f"{share['value']:.3f}"
    ends = "" if share["low"] is None else f" ({share['low']:.3f} to {share['high']:.3f})"
    print(f"{found['spoiled']} of {found['images']} images {found['spoiled_by']}, {shown}{ends}")
    print(f"The report is {path}. {found['disclaimer']}")
