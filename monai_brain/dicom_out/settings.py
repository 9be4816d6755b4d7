"""What may be chosen of the objects that are written; each choice that changes content changes their UIDs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from monai_brain.errors import ConfigurationError

# From the slices of a series to one value a class: the coded derivation (SNOMED CT), and the rule in words.
RULES = {
    "mean": ("373098007", "Mean", "the mean of the probabilities over the slices of the series"),
    "max": ("56851009", "Maximum", "the greatest probability among the slices of the series"),
}


@dataclass(frozen=True)
class Settings:
    """How results become DICOM objects.

    Attributes:
        rule: from slices to the series: one of `RULES`.
        top: how many slices a class's value refers to, the highest first; as many get heat maps.
        deidentified: replace what names the person, for research copies.
        series_number: of the reports; heat maps take the two numbers after it.
    """

    rule: str = "mean"
    top: int = 3
    deidentified: bool = False
    series_number: int = 9100

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigurationError(f"Unknown rule {self.rule!r}. Known: {', '.join(RULES)}.")
        if not 1 <= self.top <= 100:
            raise ConfigurationError(f"top is {self.top}; expected 1 to 100 slices a class.")
        if not 1 <= self.series_number <= 99_999:
            raise ConfigurationError(f"series_number is {self.series_number}; expected 1 to 99999.")

    def written(self) -> str:
        """All choices as one text, equal for equal choices."""
        return json.dumps(asdict(self), sort_keys=True)
