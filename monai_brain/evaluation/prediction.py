"""The prediction of one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Prediction:
    """What a model says about one case; probabilities and logits by class name, in the model's order."""

    case: str
    probs: Mapping[str, float]
    logits: Mapping[str, float] | None = None
    label: str = ""  # empty: the truth is not known
    predicted: str = ""  # empty: the most probable class
    rule: str = "argmax"
    abstain: bool = False
    image: str = ""
    split: str = ""
    fold: int | None = None
    repeat: int | None = None
    variant: str = ""
    patient_id: str = ""
    group: str = ""
    source: str = ""
    plane: str = ""  # empty: unknown, never guessed
    model: str = ""
    weights_sha256: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)
