"""Which series of an examination a model is asked about, by a rule that stands in its bundle.

The rule is monai_brain.series in metadata.json. All that it names must hold:

    {"modality": ["MR"], "orientation": ["axial"], "weighting": ["T1"], "scanning_sequence": ["SE", "GR"],
     "contrast_agent": true, "least_slices": 10, "one": true}

A fact that a header does not state holds, except for contrast_agent: a scanner states that it was given,
never that it was not. With "one", of several series of one study that hold the one with the most slices is
taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from monai_brain.bundles import Bundle
from monai_brain.data.headers import Header, read_header
from monai_brain.errors import ConfigurationError, DataError, did_you_mean
from monai_brain.inference.gates import OUTSIDE, Refusal
from monai_brain.inference.names import Entry, Names

_AMONG = ("modality", "orientation", "weighting", "scanning_sequence")
_KEYS = (*_AMONG, "without_image_type", "contrast_agent", "least_slices", "one")


@dataclass
class Series:
    """One series: its and its study's hashed names, what its headers say, how many slices it has."""

    name: str
    study: str
    facts: dict[str, Any] = field(default_factory=dict)
    slices: int = 0


@dataclass(frozen=True)
class Choice:
    """A series, whether it is taken, and why or why not."""

    series: Series
    taken: bool
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "taken" if self.taken else "not taken"
        return f"series {self.series.name}: {verdict}: {'; '.join(self.reasons)}"


def rule(bundle: Bundle) -> dict[str, Any]:
    """The bundle's rule; without one every series is taken.

    Raises:
        ConfigurationError: It has a key that is none.
    """
    found = bundle.facts.get("series", {})
    if not isinstance(found, dict):
        raise ConfigurationError(f"{bundle.name}: monai_brain.series must be an object.")
    for key in found:
        if key not in _KEYS:
            raise ConfigurationError(
                f"{bundle.name}: monai_brain.series has the key {key!r}. {did_you_mean(str(key), _KEYS)}"
            )
    return dict(found)


def gathered(headers: Iterable[Header], names: Names) -> list[Series]:
    """The series that headers belong to, in the order in which they appear; no header without one."""
    found: dict[str, Series] = {}
    for header in headers:
        uid = header.identifiers.get("series")
        if not uid:
            continue
        name = names.hashed("series", uid)
        study = header.identifiers.get("study", "")
        series = found.setdefault(name, Series(name, names.hashed("study", study) if study else ""))
        for key, value in header.described.items():
            series.facts.setdefault(key, value)
        if header.described.get("contrast_agent"):
            series.facts["contrast_agent"] = True
        series.slices += header.frames
    return list(found.values())


def choose(series: Iterable[Series], wanted: Mapping[str, Any]) -> list[Choice]:
    """For each series whether it is taken; the one function by which every door chooses.

    Args:
        series: As `gathered` gives them.
        wanted: A bundle's rule.
    """
    judged = [(one, _faults(one, wanted)) for one in series]
    best: dict[str, Series] = {}
    for one, faults in judged:
        if not faults and (one.study not in best or one.slices > best[one.study].slices):
            best[one.study] = one
    choices = []
    for one, faults in judged:
        if faults:
            choices.append(Choice(one, False, tuple(faults)))
        elif wanted.get("one") and best[one.study] is not one:
            chosen = best[one.study]
            why = f"series {chosen.name} of the same study has {chosen.slices} slices, this one {one.slices}"
            choices.append(Choice(one, False, (why,)))
        else:
            choices.append(Choice(one, True, (_praise(one),)))
    return choices


class Selection:
    """A choice over all series of some inputs, as a gate for their files."""

    def __init__(self, entries: Iterable[Entry], bundle: Bundle, names: Names) -> None:
        """Look at every header once, and choose."""
        self.choices = choose(gathered(_headers(entries), names), rule(bundle))
        self._names = names
        self._why = {one.series.name: "; ".join(one.reasons) for one in self.choices if not one.taken}

    def __call__(self, header: Header) -> Refusal | None:
        """A refusal for a file of a series that was not taken."""
        uid = header.identifiers.get("series")
        why = self._why.get(self._names.hashed("series", uid)) if uid else None
        return None if why is None else Refusal(OUTSIDE, f"its series was not chosen: {why}")


def _headers(entries: Iterable[Entry]) -> Iterable[Header]:
    for entry in entries:
        try:
            with entry.file() as path:
                header = read_header(path)
            yield header
        except DataError:  # it will be a failure line of its own
            continue


def _faults(series: Series, wanted: Mapping[str, Any]) -> list[str]:
    facts, faults = series.facts, []
    for key in _AMONG:
        value = facts.get(key)
        if key in wanted and value:
            several = value if isinstance(value, list) else [value]
            if not set(several) & set(wanted[key]):
                faults.append(
                    f"{key.replace('_', ' ')} {', '.join(several)}, wanted {', '.join(wanted[key])}"
                )
    odd = sorted(set(facts.get("image_type", [])) & set(wanted.get("without_image_type", [])))
    if odd:
        faults.append(f"image type {', '.join(odd)}")
    agent = wanted.get("contrast_agent")
    if agent is not None and bool(facts.get("contrast_agent")) != agent:
        faults.append("no contrast agent is stated" if agent else "a contrast agent was given")
    least = int(wanted.get("least_slices", 0))
    if series.slices < least:
        faults.append(f"{series.slices} slices, at least {least} wanted")
    return faults


def _praise(series: Series) -> str:
    facts = series.facts
    known = [str(facts[key]) for key in ("modality", "orientation", "weighting") if facts.get(key)]
    if facts.get("contrast_agent"):
        known.append("with contrast agent")
    return f"{' '.join(known) or 'nothing speaks against it'}, {series.slices} slices"
