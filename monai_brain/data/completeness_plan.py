"""Which images are made of which films: classes, faults and losses spread evenly over women and parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from monai_brain.data import splits
from monai_brain.data.completeness import COMPLETE, INCOMPLETE, LOSSES, Variant
from monai_brain.data.cuts import CUTS
from monai_brain.data.films import FILM
from monai_brain.data.schema import SCHEMA_VERSION, Item
from monai_brain.errors import ConfigurationError

PARTS = ("train", "validation", "test")


def by_woman(films: Sequence[Item], seed: int) -> list[Item]:
    """The films with `fold` and `validates`: two in ten women test, a fifth of the others validate.

    Raises:
        ConfigurationError: A film's woman is unknown, or there are too few women.
    """
    unknown = [film["film"] for film in films if film["patient_id"] is None and film["group"] is None]
    if unknown:
        raise ConfigurationError(
            f"Of {len(unknown)} of {len(films)} films nothing says whose they are, {unknown[0]} among them. "
            "Give a table with the columns file and group, equal for all films of one woman."
        )
    women = splits.groups(films)
    first = [number for number, woman in enumerate(women) if woman not in women[:number]]
    head = {"schema_version": SCHEMA_VERSION, "labels": [FILM], "testing": []}
    # One film a woman, so that women are counted and not films.
    dealt = splits.split({**head, "training": [films[number] for number in first]}, "holdout", seed=seed)
    sides = {women[number]: item for number, item in zip(first, dealt["training"], strict=True)}
    return [
        {**film, "fold": sides[woman]["fold"], "validates": list(sides[woman]["validates"])}
        for film, woman in zip(films, women, strict=True)
    ]


def part_of(film: Mapping[str, Any]) -> str:
    """Which of `PARTS` a film is in."""
    if film["fold"] == 0:
        return "test"
    return "validation" if film["validates"] else "train"


def drawn(films: Sequence[Item], n: int, seed: int) -> list[tuple[int, Variant]]:
    """For each image the number of its film and what to make of it, in an order that tells nothing.

    Every film gives as many complete as incomplete images, give or take one. Within each part the
    faults take turns, and the losses are spread over equal steps of their logarithm. A complete image
    has a fault and a loss too: those of the cut for which it is scaled, and which it does not get.
    """
    draw = np.random.default_rng([seed, 0])
    plan: list[tuple[int, Variant]] = []
    for class_name, count in ((COMPLETE, (n + 1) // 2), (INCOMPLETE, n // 2)):
        chosen = _turns(len(films), count, draw)
        for part in PARTS:
            mine = [number for number in chosen if part_of(films[number]) == part]
            faults = _turns(len(CUTS), len(mine), draw)
            names = list(CUTS)
            plan += [
                (number, Variant(class_name, names[fault], loss))
                for number, fault, loss in zip(mine, faults, _losses(len(mine), draw), strict=True)
            ]
    return [plan[i] for i in draw.permutation(len(plan))]


def _turns(kinds: int, count: int, draw: np.random.Generator) -> list[int]:
    """`count` numbers below `kinds`, each as often as any other, give or take one, in a random order."""
    rounds = [draw.permutation(kinds) for _ in range(-(-count // kinds))]
    return [int(number) for number in np.concatenate([*rounds, np.empty(0, int)])[:count]]


def _losses(count: int, draw: np.random.Generator) -> list[float]:
    steps = (draw.permutation(count) + draw.random(count)) / max(count, 1)
    low, high = np.log(LOSSES)
    return [float(loss) for loss in np.exp(low + steps * (high - low))]
