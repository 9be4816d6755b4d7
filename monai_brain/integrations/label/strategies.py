"""Which image to label next: the one that the model is least sure of, or any."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from monai_brain.errors import UnknownNameError

STRATEGIES = {
    "entropy": "The image whose probabilities are spread most evenly over the classes",
    "margin": "The image whose two most probable classes are nearest to each other",
    "random": "Any image that has no label yet",
}


def unsureness(strategy: str, probabilities: Sequence[float]) -> float:
    """How unsure the model is of an image, 0 for not at all and 1 for as much as can be.

    Raises:
        UnknownNameError: The strategy does not look at probabilities, or there is none of the name.
    """
    if strategy == "entropy":
        found = -sum(value * math.log(value) for value in probabilities if value > 0)
        return found / math.log(len(probabilities)) if len(probabilities) > 1 else 0.0
    if strategy == "margin":
        first, second = sorted(probabilities, reverse=True)[:2] if len(probabilities) > 1 else (1.0, 0.0)
        return 1 - (first - second)
    raise UnknownNameError("strategy", strategy, STRATEGIES)


def ranked(strategy: str, scores: Mapping[str, Sequence[float] | None], seed: int = 0) -> list[str]:
    """The images, the one to label first at the head.

    Args:
        strategy: One of `STRATEGIES`.
        scores: The probabilities for each image; None where the model gave no answer, which comes last.
        seed: Of the order of "random".
    """
    names = sorted(scores)
    if strategy == "random":
        random.Random(seed).shuffle(names)  # noqa: S311  it decides nothing that must be secret
        return names
    known = {name: unsureness(strategy, found) for name in names if (found := scores[name]) is not None}
    return sorted(names, key=lambda name: (name not in known, -known.get(name, 0.0), name))
