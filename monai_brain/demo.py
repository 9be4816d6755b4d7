"""The main job from beginning to end on phantoms, by the commands that a user would type."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from monai_brain import registry
from monai_brain.errors import ModelError, OutputError
from monai_brain.files import read_json

MODEL = "brain_tumor_resnet34"
IMAGES, SIZE, EPOCHS = 480, 64, 8
SETTINGS = {
    "image_size": SIZE,
    "max_epochs": EPOCHS,
    "batch_size": 32,
    "lr_step_epochs": 6,
}


def run(folder: Path, say: Callable[[str], None]) -> float:
    """The held-out accuracy of a model trained on phantoms in the folder.

    Raises:
        OutputError: The folder is not empty.
        ModelError: A step failed.
    """
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} exists and is not empty. Name another folder by -o, or remove it.")
    began = time.monotonic()
    images, trained, answers = folder / "phantoms", folder / "run", folder / "predictions"
    bundle = registry.bundle(MODEL)
    configs = bundle.root / "configs"
    ours = [sys.executable, "-m", "monai_brain"]
    say(f"Phantoms: {IMAGES} brain-like slices of 4 classes, and folds that keep patients apart")
    _step(say, [*ours, "data", "phantom", "brain", "--n", str(IMAGES), "-o", str(images)])
    datalist = folder / "datalist.json"
    _step(
        say,
        [*ours, "data", "split", str(images / "datalist.json"), "--scheme", "patient", "-o", str(datalist)],
    )
    say(f"Training: {EPOCHS} epochs at {SIZE} px, by MONAI's own command")
    _step(
        say,
        [
            *(sys.executable, "-m", "monai.bundle", "run"),
            *("--config_file", str(configs / "train.json")),
            *("--meta_file", str(configs / "metadata.json")),
            *("--logging_file", str(configs / "logging.conf")),
            *("--bundle_root", str(bundle.root)),
            *("--datalist", str(datalist)),
            *("--run_dir", str(trained)),
            *(word for key, value in SETTINGS.items() for word in (f"--{key}", str(value))),
        ],
    )
    say("Evaluation: every figure from predictions.csv alone")
    _step(say, [*ours, "evaluate", str(trained), "-o", str(folder / "metrics.json")])
    say("Prediction: the run folder is a model")
    _step(say, [*ours, "predict", str(trained), str(images / "images"), "-o", str(answers)])
    accuracy = float(read_json(folder / "metrics.json")["by_case"]["overall"]["accuracy"]["value"])
    say(
        f"Held-out accuracy {accuracy:.3f} (chance 0.25) after {time.monotonic() - began:.0f} s.\n"
        f"  datalist     {datalist}\n"
        f"  run          {trained}  (a bundle: configs, models/model.pt, predictions.csv, manifest.json)\n"
        f"  figures      {folder / 'metrics.json'}\n"
        f"  predictions  {answers}\n"
        f"{bundle.disclaimer}"
    )
    return accuracy


def _step(say: Callable[[str], None], command: Sequence[str]) -> None:
    say("$ " + " ".join(["python", *command[1:]]))
    done = subprocess.run(command, env={**os.environ, "PYTHONUTF8": "1"}, check=False)
    if done.returncode:
        raise ModelError(f"This step ended with status {done.returncode}: {' '.join(command[1:6])} ...")
