"""How a model's outputs become its answer: a temperature and a threshold that are kept with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.special import softmax

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError
from monai_brain.evaluation.calibration import fit_temperature, logits_of
from monai_brain.evaluation.predictions import Predictions
from monai_brain.evaluation.thresholds import Threshold, apply_threshold, choose_threshold
from monai_brain.files import read_json, write_json

KEY = "decision"


@dataclass(frozen=True)
class Decision:
    """What is done to a model's logits.

    Attributes:
        temperature: Logits are divided by it before the softmax; fitted on validation cases.
        class_name: The class that is given wherever its probability is at least `threshold`, or "".
        threshold: See `class_name`.
    """

    temperature: float = 1.0
    class_name: str = ""
    threshold: float = 0.0

    def apply(self, predictions: Predictions) -> Predictions:
        """The predictions with probabilities and classes by this decision; the logits stay as they are."""
        found = predictions
        if self.temperature != 1.0 and len(found):
            found = found.replaced(probs=softmax(logits_of(found) / self.temperature, axis=1), predicted=None)
        if self.class_name:
            found = apply_threshold(found, self.class_name, self.threshold)
        return found


def of(bundle: Bundle) -> Decision:
    """The decision that is kept with a bundle's weights; where none is, the most probable class.

    Raises:
        ConfigurationError: What is kept cannot be read.
    """
    kept = bundle.facts.get(KEY) or {}
    temperature, threshold = kept.get("temperature") or {}, kept.get("threshold") or {}
    try:
        # A fit that ran to its bound says that there were too few cases, and nothing about probabilities.
        value = 1.0 if temperature.get("at_bound") else float(temperature.get("value", 1.0))
        found = Decision(value, str(threshold.get("class_name", "")), float(threshold.get("value", 0.0)))
    except (AttributeError, TypeError, ValueError):
        raise ConfigurationError(
            f"{bundle.root}: monai_brain#{KEY} in metadata.json cannot be read."
        ) from None
    if not value > 0 or (found.class_name and found.class_name not in bundle.labels):
        raise ConfigurationError(f"{bundle.root}: monai_brain#{KEY} in metadata.json does not fit the model.")
    return found


def keep_temperature(folder: str | Path, predictions: Predictions) -> dict[str, Any] | None:
    """Fit the temperature on a run's validation rows and keep it with the run; None where there are none."""
    if not (predictions.where(split="validation").label >= 0).any():
        return None
    fitted = fit_temperature(predictions).as_json()
    _keep(folder, "temperature", fitted)
    return fitted


def keep_threshold(folder: str | Path, predictions: Predictions, aim: str) -> Threshold:
    """Choose the threshold for an aim on a run's validation rows and keep it with the run.

    The predictions are those that the run's temperature has been applied to, as `predict` applies it.
    """
    chosen = choose_threshold(predictions, aim)
    _keep(folder, "threshold", chosen.as_json())
    return chosen


def _keep(folder: str | Path, what: str, value: dict[str, Any]) -> None:
    path = Path(folder) / "configs" / "metadata.json"
    metadata = read_json(path)
    facts = metadata.setdefault("monai_brain", {})
    facts[KEY] = {**(facts.get(KEY) or {}), what: value}
    write_json(path, metadata)
