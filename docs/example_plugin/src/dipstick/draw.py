"""Made-up test strips that differ in the hue of one pad alone, and belong to nobody."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from monai_brain.errors import ConfigurationError, OutputError
from monai_brain.files import whole
from PIL import Image

from dipstick.strips import COLUMNS, TABLE

# All three have one luminance, 0.299 R + 0.587 G + 0.114 B: a grey picture does not tell them apart.
READINGS = {"negative": (218, 152, 50), "trace": (140, 180, 110), "positive": (74, 199, 185)}
STRIPS_OF_A_PATIENT = 2


def run(options: argparse.Namespace) -> int:
    """Draw the strips, and say where they are."""
    folder = Path(options.output)
    drawn = write(folder, options.n, options.seed)
    if options.json:
        print(json.dumps({"schema_version": 1, "path": str(folder), "images": drawn}))
    else:
        print(f"{drawn} strips are in {folder}")
    return 0


def write(folder: Path, n: int, seed: int = 0) -> int:
    """The number of strips drawn into the folder, beside their strips.csv.

    Raises:
        ConfigurationError: There are fewer than one of each reading.
        OutputError: The folder holds something already.
    """
    if n < len(READINGS):
        raise ConfigurationError(f"--n is {n}. Expected at least {len(READINGS)}, one of each reading.")
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} exists and is not empty. Name a new folder.")
    rows = []
    for number in range(n):
        reading = list(READINGS)[number // STRIPS_OF_A_PATIENT % len(READINGS)]
        name = f"strip_{number:03d}.png"
        pixels = strip(reading, np.random.default_rng([seed, number]))
        with whole(folder / name, "wb") as stream:
            Image.fromarray(pixels).save(stream, "PNG")
        rows.append((name, reading, f"patient_{number // STRIPS_OF_A_PATIENT:03d}"))
    with whole(folder / TABLE) as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return n


def strip(reading: str, numbers: np.random.Generator, size: int = 64) -> np.ndarray:
    """One strip, (size, size, 3) uint8: a pale band with a pad on it, each somewhere else."""
    picture = np.full((size, size, 3), numbers.uniform(60, 120), dtype=np.float64)
    left, width = numbers.integers(4, 20), numbers.integers(28, 40)
    picture[:, left : left + width] = numbers.uniform(200, 235)
    top, height = numbers.integers(4, 24), numbers.integers(20, 32)
    picture[top : top + height, left + 4 : left + width - 4] = READINGS[reading]
    coarse = numbers.normal(0, 14, (8, 8))
    picture += np.kron(coarse, np.ones((size // 8, size // 8)))[..., None]
    picture += numbers.normal(0, 6, (size, size, 1))
    return picture.clip(0, 255).round().astype(np.uint8)
