"""export."""

from __future__ import annotations

import argparse
import json

from monai_brain import registry


def export(options: argparse.Namespace) -> None:
    """Write a model in another form, and say what was written."""
    from monai_brain.files import sha256
    from monai_brain.inference.export import export as export_model

    path = export_model(
        options.model,
        options.format,
        options.output,
        weights=options.weights,
        variant=options.variant,
        calibration=options.calibration,
    )
    size = sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
    if options.json:
        digest = sha256(path) if path.is_file() else None
        written = {"path": str(path), "format": options.format, "bytes": size, "sha256": digest}
        print(json.dumps({"schema_version": 1, **written}))
    else:
        print(f"{path}  {options.format}, {size / 1e6:.1f} MB. {registry.bundle(options.model).disclaimer}")
