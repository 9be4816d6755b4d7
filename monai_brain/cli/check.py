"""check: whether a model meets what is asked of every model."""

from __future__ import annotations

import argparse
import dataclasses
import json

from monai_brain import registry
from monai_brain.errors import ModelError
from monai_brain.safety import trust


def run(options: argparse.Namespace) -> int:
    """Print one line a check, as each ends; 4 if any failed."""
    bundle = registry.bundle(options.model)  # an unknown name is told before anything heavy is imported
    trust.admit(bundle)
    from monai_brain.testing import checks

    found = []
    for result in checks.results(bundle, options.only):
        found.append(result)
        if not options.json:
            reason = f": {result.reason}" if result.reason else ""
            print(f"{result.state:16}  {result.name} ({result.seconds:.1f} s){reason}", flush=True)
    failed = sum(result.state == "failed" for result in found)
    if options.json:
        content = {
            "schema_version": 1,
            "model": bundle.name,
            "checks": [dataclasses.asdict(result) for result in found],
        }
        print(json.dumps(content, ensure_ascii=False))
    else:
        print(f"{bundle.name}: {failed} of {len(found)} checks failed.")
    return ModelError.exit_status if failed else 0
