"""new-plugin: a package around a network."""

from __future__ import annotations

import argparse
import json


def run(options: argparse.Namespace) -> None:
    """Write the package and say what to do next."""
    from monai_brain.new_plugin.names import CLASSES, naming

    naming(options.name)  # told before anything heavy is imported
    from monai_brain.new_plugin.package import new_plugin

    made = new_plugin(
        options.name,
        options.folder,
        classes=CLASSES if options.classes is None else options.classes.split(","),
        network=options.network,
        weights=options.weights,
        reference_file=options.reference,
        size=options.size,
        channels=options.channels,
        mean=options.mean,
        std=options.std,
    )
    facts = made.bundle.facts
    if options.json:
        content = {
            "schema_version": 1,
            "model": made.bundle.name,
            "path": str(made.folder),
            "bundle": str(made.bundle.root),
            "parameters": facts["parameters"],
            "cam_layer": facts["cam_layer"],
            "weights_sha256": made.weights_sha256,
            "reference_difference": made.difference,
        }
        print(json.dumps(content, ensure_ascii=False))
        return
    print(f"{made.bundle.name}: {facts['parameters']:,} parameters, heat maps of layer {facts['cam_layer']}")
    if made.weights_sha256 is not None:
        print(f"weights: SHA-256 {made.weights_sha256}")
    if made.difference is not None:
        print(f"reference: kept as a test; the largest difference is {made.difference:.2g}")
    print(f"The package is {made.folder}. Next: pip install {made.folder}")
    print(f"then: monai-brain check {made.bundle.name}")
    print(f"What is yours to fill in: {made.bundle.root / 'configs' / 'metadata.json'}")
