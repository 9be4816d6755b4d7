#!/usr/bin/env python
"""Kill trainings at random moments and let them resume: each must end with an unbroken run's weights.

    python scripts/torture.py --kills 100 --seed 0 [--models tiny:2,brain_tumor_resnet34] [--keep DIR]

One process imports everything and forks a child for each training, on phantoms of 32 pixels, on the CPU. It
kills the child (SIGKILL) at a random moment, or while a file is being written, looks whether every checkpoint
that stands there can be loaded, and resumes. `MODEL:N` reads with N worker processes. Exit status 1 if a
checkpoint could not be loaded or a finished weight differed at all.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = ""
for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"  # and no torch.set_num_threads: after a fork it fails now and then

# Of ten kills each, how many hit which model with how many workers.
PLAN = {
    "tiny:0": 4,
    "tiny:2": 3,
    "brain_tumor_resnet34:0": 1,
    "brain_tumor_efficientnet_b2:2": 1,
    "mammography_quality_parb_kan:0": 1,
    "baseline:2": 1,
}
SETTINGS: dict[str, Any] = {"image_size": 32, "batch_size": 8, "max_epochs": 3, "keep_every": 2}
SMALLER = {"copies": {}, "stop_epochs": 2, "norm_momentum": 0.1}
IMAGES, LIMIT = 32, 240.0


class Trainings:
    """The trainings of one model with so many workers: an unbroken one, and those that are killed."""

    def __init__(self, name: str, folder: Path, draw: random.Random) -> None:
        from monai_brain import bundles
        from monai_brain.files import read_json
        from monai_brain.registry import bundle
        from monai_brain.testing.tiny import tiny_bundle

        model, _, workers = name.partition(":")
        self.name, self.folder, self.draw = name, folder, draw
        folder.mkdir(parents=True)
        self.bundle: bundles.Bundle = tiny_bundle(folder / "tiny") if model == "tiny" else bundle(model)
        recipe = read_json(self.bundle.config("train"))
        self.settings = {
            **SETTINGS,
            **{key: value for key, value in SMALLER.items() if key in recipe},
            "num_workers": int(workers or 0),
        }
        if model == "tiny":
            self.settings |= {"max_epochs": 5}
        if model == "baseline":
            self.settings |= {"max_epochs": 2}
        self.data = _data(self.bundle, folder)
        start = time.monotonic()
        self._wait(self._begin(folder / "unbroken", False))
        self.seconds = time.monotonic() - start
        self.wanted = _weights(folder / "unbroken")
        self.count, self.kills, self.during, self.finished = 0, 0, 0, 0
        self.problems: list[str] = []

    def kill_once(self) -> None:
        """Start or resume a training and kill it, unless it is done before."""
        run = self.folder / f"run_{self.count}"
        process = self._begin(run, run.is_dir())
        at_a_write = self.draw.random() < 0.4
        moment = time.monotonic() + self.draw.uniform(0, 0.7 if at_a_write else 1.1) * self.seconds
        while True:
            time.sleep(0.0001)
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                self._end(run, status)
                return
            due = time.monotonic() > moment
            writing = due and at_a_write and _is_written(run / "checkpoints")
            if writing or (due and not at_a_write):
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                self.kills, self.during = self.kills + 1, self.during + bool(writing)
                self._look(run)
                return

    def finish(self) -> None:
        """Let the training that was killed last go on to its end."""
        run = self.folder / f"run_{self.count}"
        if run.is_dir():
            self._end(run, self._wait(self._begin(run, True), raising=False))

    def _begin(self, run: Path, resume: bool) -> int:
        process = os.fork()
        if process:
            return process
        status = 1
        try:
            from monai_brain.training.workflow import train

            said = io.StringIO()
            logging.disable(logging.CRITICAL)
            with contextlib.redirect_stderr(said):
                train(self.bundle, self.data, 0, run_dir=run, resume=resume, **self.settings)
            status = 0
        except BaseException:  # noqa: BLE001  a child must end here, whatever happened
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _wait(self, process: int, raising: bool = True) -> int:
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                if raising and status:
                    raise SystemExit(f"{self.name}: the unbroken training ended with {status}")
                return status
            time.sleep(0.01)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        raise SystemExit(f"{self.name}: a training did not end in {LIMIT:.0f} s")

    def _look(self, run: Path) -> None:
        from monai_brain.inference import weights
        from monai_brain.training import checkpoint_files

        for checkpoint in checkpoint_files.found(run):
            try:
                checkpoint.read()
            except Exception as error:  # noqa: BLE001  each is a finding
                self.problems.append(f"{self.name}: {error}")
        if (run / "models" / "model.pt").exists():
            try:
                weights.read(run / "models" / "model.pt")
            except Exception as error:  # noqa: BLE001  each is a finding
                self.problems.append(f"{self.name}: {error}")

    def _end(self, run: Path, status: int) -> None:
        self.count += 1
        if status:
            self.problems.append(f"{self.name}: a resumed training ended with status {status}")
            return
        self.finished += 1
        found = _weights(run)
        worst = max(
            float((self.wanted[key].double() - found[key].double()).abs().max()) for key in self.wanted
        )
        if worst or found.keys() != self.wanted.keys():
            self.problems.append(f"{self.name}: the finished weights differ by {worst:g}")
        for left in run.rglob("*.partial"):
            self.problems.append(f"{self.name}: {left} was left behind")


def _is_written(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(".partial") for entry in entries)
    except FileNotFoundError:
        return False


def _data(bundle: Any, folder: Path) -> Path:
    from monai_brain.data import datalist, phantoms, splits

    kind = bundle.facts["phantom"]
    written = phantoms.write(kind, folder / "images", IMAGES, seed=3, size=40, classes=bundle.labels)
    return datalist.write(splits.split(datalist.read(written), "patient", folds=3), folder / "folds.json")


def _weights(run: Path) -> dict[str, Any]:
    """The last and the best weights of a finished run."""
    from monai_brain.inference import weights
    from monai_brain.training import checkpoint_files

    checkpoint, state = checkpoint_files.last_whole(run) or (None, {})
    best = weights.read(run / "models" / "model.pt")
    last = state["parts"]["network"] if checkpoint else {}
    return {**{f"best {key}": value for key, value in best.items()}, **last}


def _plan(kills: int, models: str | None) -> dict[str, int]:
    if models:
        names = models.split(",")
        return {name: kills // len(names) + (index < kills % len(names)) for index, name in enumerate(names)}
    total = sum(PLAN.values())
    found = {name: kills * share // total for name, share in PLAN.items()}
    found["tiny:0"] += kills - sum(found.values())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", help="MODEL or MODEL:WORKERS, with commas between")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the runs here")
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    import monai.bundle
    import monai.engines
    import monai.handlers  # noqa: F401  all imported once, before the forks

    import monai_brain.training.checkpoints
    import monai_brain.training.workflow  # noqa: F401

    draw = random.Random(options.seed)
    problems: list[str] = []
    total = 0
    with tempfile.TemporaryDirectory(prefix="monai-brain-torture-") as temporary:
        place = options.keep or Path(temporary)
        for name, kills in _plan(options.kills, options.models).items():
            if not kills:
                continue
            start = time.monotonic()
            trainings = Trainings(name, place / name.replace(":", "_"), draw)
            while trainings.kills < kills and not trainings.problems:
                trainings.kill_once()
            trainings.finish()
            problems += trainings.problems
            total += trainings.kills
            print(
                f"{name}: {trainings.kills} kills ({trainings.during} during a write), {trainings.finished} "
                f"trainings finished, {time.monotonic() - start:.0f} s",
                flush=True,
            )
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{total} kills, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
