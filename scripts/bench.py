#!/usr/bin/env python3
"""Times what this project promises to be fast at, beside what a reader would use instead.

Exit status: 0 all targets met, 1 a target missed or a comparison worse, 2 usage.
"""

import argparse
import itertools
import json
import os
import sys
from pathlib import Path

THREADS = "2"
if __name__ == "__main__":
    # Before torch and OpenCV are imported: two cores, as the targets say.
    os.environ.update(OMP_NUM_THREADS=THREADS, MKL_NUM_THREADS=THREADS, CUDA_VISIBLE_DEVICES="")

from benchmarks import archives, evaluation, harness, images, networks, page, scaling, startup, steps  # noqa: E402

MODULES = (startup, images, archives, networks, steps, evaluation)
TOLERANCE = 0.1


def main(argv: list[str] | None = None) -> int:
    known = harness.REGISTER.found
    growing = {f"scale_{name}": name for name in scaling.STEPS}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[*known, *growing], help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--list", action="store_true", help="print the names and what is timed")
    parser.add_argument("--repeats", type=int, default=harness.REPEATS, metavar="N", help="at least 1")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("A", "B"), help="two files of --json, by their ratios"
    )
    parser.add_argument(
        "--page", nargs=2, type=Path, metavar=("FILE", "PAGE"), help="write a file of --json as a page"
    )
    options = parser.parse_args(argv)
    if options.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {options.repeats}")
    if options.list:
        for case in known.values():
            print(f"{case.name:16} {case.what}")
        for name, step in growing.items():
            print(f"{name:16} {step} of 1,000, 10,000 and 100,000 images: time and memory")
        return 0
    if options.page:
        written = json.loads(options.page[0].read_text(encoding="utf-8"))
        options.page[1].write_text(page.page(written), encoding="utf-8")
        return 0
    if options.compare:
        return compare(*options.compare)
    entries = []
    chosen = options.only or [*known, *growing]
    for entry in itertools.chain(
        (harness.run(known[name], options.repeats) for name in chosen if name in known),
        scaling.entries([growing[name] for name in chosen if name in growing]),
    ):
        entries.append(entry)
        print("\n".join(harness.lines(entry)), flush=True)
    if options.json:
        written = {
            "schema_version": harness.SCHEMA_VERSION,
            "machine": harness.machine(),
            "command": " ".join(["scripts/bench.py", *(sys.argv[1:] if argv is None else argv)]),
            "benchmarks": entries,
        }
        options.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return 0 if all(harness.met(entry) for entry in entries) else 1


def compare(before: Path, after: Path) -> int:
    rows = harness.compared(
        *(json.loads(path.read_text(encoding="utf-8")) for path in (before, after)), tolerance=TOLERANCE
    )
    for row in rows:
        verdict = "  WORSE" if row["worse"] else ""
        print(f"{row['name']:14} {row['before']:8.2f} -> {row['after']:8.2f}  x {row['change']:.2f}{verdict}")
    if not rows:
        print("The two files have no benchmark in common.")
    return 1 if any(row["worse"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
