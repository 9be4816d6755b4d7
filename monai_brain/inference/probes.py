"""Images that no model here is made for, drawn from a seed: noise, natural-looking ones, another organ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from monai_brain.bundles import Bundle
from monai_brain.data import phantoms
from monai_brain.files import write_whole

Image = npt.NDArray[np.uint8]  # (H, W)

SIZE = 160
_LEAVES = 400
_OTHER = {"brain": "mammogram", "mammogram": "brain"}


def noise(generator: np.random.Generator) -> Image:
    """Independent grey values, coarser in some images than in others."""
    coarse = int(generator.choice([1, 2, 4, 8]))
    small = generator.integers(0, 256, (SIZE // coarse, SIZE // coarse)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)


def natural(generator: np.random.Generator) -> Image:
    """Dead leaves: discs of any size over one another, whose edges and spectrum are those of photographs.

    Lee, Mumford and Huang 2001: radii fall with the third power, each disc hides what lies under it.
    """
    image = np.full((SIZE, SIZE), int(generator.integers(0, 256)), np.uint8)
    smallest, largest = 2.0, SIZE / 2
    shares = generator.random(_LEAVES)
    radii = (smallest**-2 - shares * (smallest**-2 - largest**-2)) ** -0.5
    for radius in radii:
        place = generator.integers(0, SIZE, 2)
        grey = int(generator.integers(0, 256))
        cv2.circle(image, (int(place[0]), int(place[1])), max(1, round(radius)), grey, -1, cv2.LINE_AA)
    shade = cv2.resize(generator.normal(0, 20, (5, 5)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + shade + generator.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def write(bundle: Bundle, folder: Path, count: int = 100, seed: int = 0) -> dict[str, Path]:
    """PNG files of each kind in a folder of its own; gives the folders by the kind's name.

    Args:
        bundle: The model; what it is made for is no other body part.
        folder: Where the folders go.
        count: Images of each kind.
        seed: The same one draws the same images.
    """
    kinds: dict[str, Callable[[np.random.Generator], Image]] = {"noise": noise, "natural-looking": natural}
    found = {}
    for number, (name, make) in enumerate(kinds.items()):
        found[name] = folder / name
        for index in range(count):
            _save(make(np.random.default_rng([seed, number, index])), found[name] / f"{index:04d}.png")
    own = str(bundle.facts.get("phantom", ""))
    if own in _OTHER:
        other = _OTHER[own]
        found[f"phantoms of a {other}"] = folder / other
        made = phantoms.mammogram if other == "mammogram" else phantoms.brain
        for index, phantom in enumerate(made(count, seed, SIZE)):
            _save(phantom.image, folder / other / f"{index:04d}.png")
    return found


def _save(image: Image, path: Path) -> None:
    content = cv2.imencode(".png", image)[1].tobytes()
    write_whole(path, lambda stream: stream.write(content))
