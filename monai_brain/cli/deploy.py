"""deploy."""

from __future__ import annotations

import argparse
import json

from monai_brain import registry
from monai_brain.integrations import deploy as deploying


def deploy(options: argparse.Namespace) -> None:
    """Write an application, and say how to run it."""
    path = deploying.deploy(options.models, options.output, weights=options.weights, form=options.form)
    bundles = [registry.bundle(model) for model in options.models]
    silent = [bundle.name for bundle in bundles if not deploying.reported(bundle)]
    if options.json:
        models = [bundle.name for bundle in bundles]
        told = {"schema_version": 1, "path": str(path), "models": models, "without_dicom": silent}
        print(json.dumps(told))
        return
    for name in silent:
        print(f"{name} has no codes: its answers become no DICOM objects.")
    print(f"{path}: run it by `python app.py -i input -o output -m models` there. {bundles[0].disclaimer}")
