"""Faults of mammograms: too low a dose, a grid that stands still, lines of the detector that are dead."""

from __future__ import annotations

import numpy as np

from monai_brain.transforms.faults_anywhere import WHITE, Image

_PERIOD = (3.0, 6.0)
_LIT = 0.3  # a line that crosses the breast, as a share of the brightest line


def quantum_noise(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image with noise that grows with the square root of the grey value, as counted quanta do."""
    noise = draw.normal(0, 1, image.shape)
    return image + strength * np.sqrt(np.clip(image, 0, None) / (WHITE / 2)) * noise


def grid_lines(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image with fine parallel lines, a few pixels apart, along rows or columns."""
    period, phase = draw.uniform(*_PERIOD), draw.uniform(0, 2 * np.pi)
    along = int(draw.random() < 0.5)
    lines = np.cos(2 * np.pi * np.arange(image.shape[along]) / period + phase)
    return image * (1 + strength * (lines[:, None] if along == 0 else lines[None, :]))


def dead_lines(image: Image, strength: float, draw: np.random.Generator) -> Image:
    """The image with a share of its rows or columns black; those of a lower share are among them.

    Only lines that cross the breast are counted and drawn: a dead line beside it changes nothing.
    """
    along = int(draw.random() < 0.5)
    light = image.mean(axis=1 - along)
    order = draw.permutation(np.flatnonzero(light >= _LIT * light.max()))
    dead = order[: max(1, round(strength * len(order)))]
    changed = image.copy()
    if along == 0:
        changed[dead] = 0.0
    else:
        changed[:, dead] = 0.0
    return changed
