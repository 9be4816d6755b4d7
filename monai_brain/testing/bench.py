"""A place to try a model in: a temporary folder, a few images, and the process as it was afterwards."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from monai.data.meta_obj import get_track_meta, set_track_meta

from monai_brain.bundles import Bundle
from monai_brain.data import datalist, phantoms
from monai_brain.data.schema import SCHEMA_VERSION
from monai_brain.files import whole

FOLDS = 3
IMAGES_OF_A_CLASS = 6
PIXELS = 72


@contextlib.contextmanager
def aside() -> Iterator[Path]:
    """A temporary folder; what a training sets for the whole process is put back when the block ends."""
    # MONAI seeds the global generators, silences metadata and configures logging for good.
    loggers = [
        logging.getLogger(),
        *(x for x in logging.Logger.manager.loggerDict.values() if isinstance(x, logging.Logger)),
    ]
    before = [
        (logger, logger.level, logger.disabled, logger.propagate, logger.handlers[:]) for logger in loggers
    ]
    threshold, track_meta, path = logging.root.manager.disable, get_track_meta(), sys.path[:]
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    states = random.getstate(), np.random.get_state()
    logging.disable(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory(prefix="monai-brain-") as folder, torch.random.fork_rng():
            yield Path(folder).resolve()
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        sys.path[:] = path
        set_track_meta(track_meta)
        logging.disable(threshold)
        for logger, level, disabled, propagate, handlers in before:
            logger.level, logger.disabled, logger.propagate, logger.handlers = (
                level,
                disabled,
                propagate,
                handlers,
            )


def write_datalist(bundle: Bundle, folder: Path) -> Path:
    """The path of a datalist with folds that suits the model: its phantoms, or noise where it has none."""
    kind = bundle.facts.get("phantom")
    if kind:
        count = IMAGES_OF_A_CLASS * len(bundle.labels)
        written = phantoms.write(str(kind), folder, count, size=PIXELS, classes=bundle.labels)
        content = datalist.read(written)
    else:
        content = _noise(bundle, folder)
    patients: dict[str, list[str]] = {name: [] for name in bundle.labels}
    for item in content["training"]:
        known = patients[item["class_name"]]
        if item["patient_id"] not in known:
            known.append(item["patient_id"])
        number = known.index(item["patient_id"])
        item["fold"], item["validates"] = number % FOLDS, [(number + 1) % FOLDS]
    return datalist.write({**content, "folds": FOLDS, "scheme": "patient", "seed": 0}, folder / "folds.json")


def _noise(bundle: Bundle, folder: Path) -> dict[str, Any]:
    random_numbers = np.random.default_rng(0)
    items = []
    for number in range(IMAGES_OF_A_CLASS * len(bundle.labels)):
        index = number % len(bundle.labels)
        path = folder / "images" / f"n{number:03d}.png"
        image(path, random_numbers)
        items.append(
            {
                "image": str(path),
                "label": index,
                "class_name": bundle.labels[index],
                "patient_id": f"n{number}",
            }
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "name": "noise",
        "labels": list(bundle.labels),
        "training": items,
        "testing": [],
    }


def image(
    path: Path, random_numbers: np.random.Generator, shape: tuple[int, int] = (PIXELS, PIXELS + 16)
) -> None:
    """Write a grey PNG of noise, not square, so that a height taken for a width shows."""
    pixels = random_numbers.integers(0, 256, shape, dtype=np.uint8)
    with whole(path, "wb") as stream:
        stream.write(cv2.imencode(".png", pixels)[1].tobytes())


def fresh(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python program run in a process of its own that finds the modules that this one finds."""
    places = os.pathsep.join(place for place in sys.path if place)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": places, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
