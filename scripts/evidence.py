#!/usr/bin/env python3
"""Runs every study behind docs/results.md on real images, one command of monai-brain after another.

What is finished is not run again; what was interrupted goes on where it ended.

Exit status: 0 all steps are done, 1 a step failed, 2 usage, 3 the time was over before the last step.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from studies import results
from studies.steps import SCALES, Step, steps


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="a folder of the sets, each with manifest.csv"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--scale", choices=sorted(SCALES), required=True, help="how large the trainings are")
    parser.add_argument("--only", nargs="+", metavar="STEP", help="these, and what they need; default: all")
    parser.add_argument("--minutes", type=float, metavar="N", help="stop then, to go on another time")
    parser.add_argument("--list", action="store_true", help="print the commands and run none")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="run none, and write the page of figures"
    )
    options = parser.parse_args(argv)
    scale = SCALES[options.scale]
    everything = steps(options.data.resolve(), scale)
    known = {step.name for step in everything}
    if odd := [name for name in options.only or () if name not in known]:
        parser.error(f"there is no step {odd[0]}. There are: {', '.join(step.name for step in everything)}")
    root = options.output.resolve()
    todo = _needed(everything, options.only)
    if options.list:
        for step in todo:
            print(f"# {step.name}\nmonai-brain {' '.join(words(step, everything, root))}")
        return 0
    if options.results:
        command = f"python scripts/evidence.py DATA -o DIR --scale {options.scale}"
        options.results.write_text(
            results.page(root, options.data.resolve(), [step.name for step in everything], command),
            encoding="utf-8",
        )
        return 0
    root.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * options.minutes if options.minutes else None
    failed: set[str] = set()
    for step in todo:
        if failed & set(_names(step, everything)):
            failed.add(step.name)
            print(f"{step.name}: left out, for what it needs failed", flush=True)
            continue
        state = run(step, everything, root, until)
        if state == "out of time":
            print(f"{step.name}: the time is over; the same command goes on", flush=True)
            return 3
        if state == "failed":
            failed.add(step.name)
    return 1 if failed else 0


def words(step: Step, everything: list[Step], root: Path) -> list[str]:
    """The words of a step's command, with the places of what it needs."""
    places = {other.name: str(other.place(root)) for other in everything}
    return [*(word.format_map(places) for word in step.words), "-o", str(step.place(root))]


def run(step: Step, everything: list[Step], root: Path, until: float | None) -> str:
    """Bring a step to its end: "done", "failed" or "out of time"."""
    given = words(step, everything, root)
    record = root / "done" / f"{step.name}.json"
    if record.is_file() and json.loads(record.read_text(encoding="utf-8"))["words"] == given:
        return "done"
    begin = time.monotonic()
    commands = [given]
    if step.page:
        page = str(step.place(root) / "report.html")
        commands.append(["report", str(step.place(root)), "-o", page])
    log = root / "logs" / f"{step.name}.log"
    log.parent.mkdir(exist_ok=True)
    for command in commands:
        if step.without:
            _without(step.without, Path(given[0]), step.place(root))
            continue
        status = _command(command, log, until)
        if status is None:
            return "out of time"
        if status != 0:
            last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
            print(f"{step.name}: failed with {status}: {' '.join(last)}", flush=True)
            return "failed"
    record.parent.mkdir(exist_ok=True)
    partial = record.with_suffix(".partial")
    seconds = round(time.monotonic() - begin)
    partial.write_text(json.dumps({"words": given, "seconds": seconds}) + "\n", encoding="utf-8")
    partial.replace(record)
    print(f"{step.name}: done in {seconds} s", flush=True)
    return "done"


def _command(command: list[str], log: Path, until: float | None) -> int | None:
    """The exit status of monai-brain in a process of its own, or None where the time was over first."""
    left = None if until is None else until - time.monotonic()
    if left is not None and left <= 0:
        return None
    with log.open("a", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "monai_brain", *command], stdout=stream, stderr=stream, env=os.environ
        )
        try:
            return process.wait(left)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # a training writes where it is, and goes on from there
            process.wait()
            return None
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise


def _without(fault: str, source: Path, target: Path) -> None:
    """The datalist without a fault in what trains and validates, and with that fault alone in what tests."""
    from monai_brain.data import datalist

    content = datalist.read(source)
    kept = []
    for item in content["training"]:
        tests = item["fold"] == 0
        if item.get("fault") in (None, "") or (item["fault"] == fault) == tests:
            kept.append(item)
    datalist.write({**content, "training": kept}, target)


def _names(step: Step, everything: list[Step]) -> list[str]:
    return [other.name for other in everything if any(f"{{{other.name}}}" in word for word in step.words)]


def _needed(everything: list[Step], only: list[str] | None) -> list[Step]:
    """The steps that are asked for and all that they need, in order."""
    if only is None:
        return everything
    wanted = set(only)
    for step in reversed(everything):
        if step.name in wanted:
            wanted |= set(_names(step, everything))
    return [step for step in everything if step.name in wanted]


if __name__ == "__main__":
    sys.exit(main())
