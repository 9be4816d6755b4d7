"""What a model is not made for, told before it is asked: rules over what a header says.

The rules stand in the bundle's metadata.json under monai_brain.gates, so that a model for another
modality or another organ has its own:

    {"fact": "modality", "among": ["MR"], "otherwise": "not applicable"}

A fact that is not known breaks no rule. What a training has recorded under monai_brain.trained_on, the
views and techniques of its images, is a rule of the same kind: from others the model abstains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.errors import ConfigurationError, did_you_mean

DONE, FAILED = "done", "failed"
ABSTAINED, NOT_APPLICABLE, OUTSIDE = "abstained", "not applicable", "outside training domain"
WITHHELD = (NOT_APPLICABLE, OUTSIDE, ABSTAINED)
STATUSES = (DONE, *WITHHELD, FAILED)
_TESTS = ("among", "without", "containing", "least")
TRAINED_ON = "trained_on"  # key of the facts: fact -> the values that training images had
_KEYS = ("fact", *_TESTS, "otherwise", "because")


@dataclass(frozen=True)
class Refusal:
    """An input that gets no label: its status, and why."""

    status: str
    reason: str


@dataclass(frozen=True)
class Gate:
    """One rule.

    Attributes:
        fact: The name of what is known of the image.
        test: among: the value, or each of several, is one of these. without: none of these. containing:
            one of these stands in it. least: it is at least this.
        values: What the test compares with.
        otherwise: The status of an image that breaks the rule.
        because: Words for the reason; made from the rule where there are none.
    """

    fact: str
    test: str
    values: tuple[Any, ...]
    otherwise: str
    because: str = ""

    def refusal(self, facts: Mapping[str, Any]) -> Refusal | None:
        """Why an image with these facts is refused; None if it is not."""
        if self.fact not in facts or self._holds(facts[self.fact]):
            return None
        value = facts[self.fact]
        broken = [one for one in value if one in self.values] if isinstance(value, list | tuple) else []
        said = ", ".join(map(str, broken or (value if isinstance(value, list | tuple) else [value])))
        what = self.fact.replace("_", " ")
        if self.because:
            return Refusal(
                self.otherwise, self.because if isinstance(value, bool) else f"{self.because} ({said})"
            )
        known = ", ".join(map(str, self.values))
        wish = {"without": "not ", "least": "at least "}.get(self.test, "")
        return Refusal(self.otherwise, f"{what} {said}; the model takes {wish}{known}")

    def _holds(self, value: Any) -> bool:
        several = list(value) if isinstance(value, list | tuple) else [value]
        if self.test == "least":
            return all(one >= self.values[0] for one in several)
        if self.test == "containing":
            return any(str(part) in str(one) for one in several for part in self.values)
        if self.test == "without":
            return not any(one in self.values for one in several)
        return all(one in self.values for one in several)


def gates(bundle: Bundle) -> list[Gate]:
    """The rules of a bundle, in their order, and behind them what it was trained on.

    Raises:
        ConfigurationError: One of them is no rule.
    """
    rules = bundle.facts.get("gates", [])
    if not isinstance(rules, list):
        raise ConfigurationError(f"{bundle.name}: monai_brain.gates must be a list of rules.")
    stated = [
        _gate(rule, f"{bundle.name}: rule {number} of monai_brain.gates") for number, rule in enumerate(rules)
    ]
    return stated + _as_trained(bundle)


def first_refusal(rules: Sequence[Gate], facts: Mapping[str, Any]) -> Refusal | None:
    """The first rule that is broken; the weightier statuses come first, whatever the order of the rules."""
    refusals = [refusal for rule in rules if (refusal := rule.refusal(facts)) is not None]
    return min(refusals, key=lambda one: WITHHELD.index(one.status), default=None)


def _as_trained(bundle: Bundle) -> list[Gate]:
    known = bundle.facts.get(TRAINED_ON, {})
    if not isinstance(known, dict) or not all(isinstance(values, list) for values in known.values()):
        raise ConfigurationError(f"{bundle.name}: monai_brain.{TRAINED_ON} must hold a list for each fact.")
    return [
        Gate(fact, "among", tuple(values), ABSTAINED, f"a {fact.split('_')[0]} absent from the training data")
        for fact, values in known.items()
    ]


def _gate(rule: Any, where: str) -> Gate:
    if not isinstance(rule, dict) or not isinstance(rule.get("fact"), str):
        raise ConfigurationError(f"{where} names no fact.")
    for key in rule:
        if key not in _KEYS:
            raise ConfigurationError(f"{where} has the key {key!r}. {did_you_mean(str(key), _KEYS)}")
    tests = [name for name in _TESTS if name in rule]
    if len(tests) != 1:
        raise ConfigurationError(f"{where} must hold one of {', '.join(_TESTS)}.")
    values = rule[tests[0]] if isinstance(rule[tests[0]], list) else [rule[tests[0]]]
    otherwise = str(rule.get("otherwise", OUTSIDE))
    if otherwise not in WITHHELD:
        raise ConfigurationError(f"{where}: otherwise is {otherwise!r}. {did_you_mean(otherwise, WITHHELD)}")
    return Gate(rule["fact"], tests[0], tuple(values), otherwise, str(rule.get("because", "")))
