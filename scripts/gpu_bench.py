#!/usr/bin/env python3
"""Times the models' training with images kept on the device, beside synthetic tensors and MONAI's loaders.

It is meant for a machine with a GPU, and runs on any: `--image-size 32 --images 32 --batch-size 8` takes
a minute on two cores. What FILE of --json holds already is not measured again.

Exit status: 0 all targets met, 1 a target missed, 2 usage.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import harness, training


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="MODEL", choices=training.MODELS, help="default: all")
    parser.add_argument("--recipe", nargs="+", default=["paper", "strong"], choices=("paper", "strong"))
    parser.add_argument("--device", help="default: the GPU where there is one")
    parser.add_argument("--image-size", type=int, metavar="N", help="default: the paper's")
    parser.add_argument("--batch-size", type=int, metavar="N", help="default: the paper's")
    parser.add_argument("--images", type=int, default=3000, metavar="N", help="phantoms; default: 3000")
    parser.add_argument("--batches", type=int, default=50, metavar="N", help="in one turn; default: 50")
    parser.add_argument("--workers", type=int, default=8, metavar="N", help="of MONAI's loader; default: 8")
    parser.add_argument("--no-network", action="store_true", help="time the batches alone")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="turns; default: 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, after each one")
    options = parser.parse_args(argv)
    if min(options.repeats, options.images, options.batches) < 1 or options.workers < 0:
        parser.error("--repeats, --images and --batches must be at least 1, --workers at least 0")
    words = ["scripts/gpu_bench.py", *(sys.argv[1:] if argv is None else argv)]
    settings = training.Settings.of(options)
    entries = _before(options.json, settings)
    for model in options.only or training.MODELS:
        for recipe in options.recipe:
            name = f"{model} {recipe}"
            if not any(entry["name"] == name for entry in entries):
                entries.append(training.measured(name, model, recipe, settings, options.repeats))
                _write(options.json, words, settings, entries)
            print("\n".join(training.lines(next(x for x in entries if x["name"] == name))), flush=True)
    return 0 if all(harness.met(entry) for entry in entries) else 1


def _before(path: Path | None, settings: training.Settings) -> list[dict[str, Any]]:
    """What was measured already, with the same settings on the same device."""
    if path is None or not path.is_file():
        return []
    written = json.loads(path.read_text(encoding="utf-8"))
    if written.get("settings") != settings.told():
        sys.exit(f"{path} was measured with other settings or on another device. Name another file.")
    return list(written["benchmarks"])


def _write(
    path: Path | None, words: list[str], settings: training.Settings, entries: list[dict[str, Any]]
) -> None:
    if path is None:
        return
    written = {
        "schema_version": harness.SCHEMA_VERSION,
        "machine": {**harness.machine(), **training.device(settings.device)},
        "command": " ".join(words),
        "settings": settings.told(),
        "benchmarks": entries,
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
