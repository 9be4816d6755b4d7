"""Which of several models an image is for: by what its header says, or by the folder that it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_brain.bundles import Bundle
from monai_brain.data.headers import Header, read_header
from monai_brain.data.slices import UnreadableImageError
from monai_brain.inference.gates import FAILED, NOT_APPLICABLE, Gate, Refusal, first_refusal, gates
from monai_brain.inference.names import Entry

FACTS = ("modality", "body_part")


class Routes:
    """The models of one application, and what each of them is for.

    A model takes what its gates over modality and body part let in; all its other rules are its own
    matter. An image that does not state its modality, as no PNG does, belongs to the model whose name its
    folder bears, or to every model where all are for the same modality.
    """

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        """Read the gates.

        Raises:
            ConfigurationError: A gate is no rule.
        """
        self._rules = {
            bundle.name: [gate for gate in gates(bundle) if gate.fact in FACTS] for bundle in bundles
        }
        self._alike = len({_of(rules, "modality") for rules in self._rules.values()}) == 1

    @property
    def names(self) -> list[str]:
        """The models' names."""
        return list(self._rules)

    def of(self, entry: Entry) -> list[str] | Refusal:
        """The models that an input is for, or why it is for none."""
        if len(self._rules) == 1:
            return self.names
        if entry.member:
            return Refusal(NOT_APPLICABLE, "it lies in a zip: unpack it, so that its model can be told")
        first = Path(entry.shown).parts[0]
        if first in self._rules and first != entry.shown:
            return [first]
        try:
            return self._by(read_header(Path(entry.path)))
        except UnreadableImageError as error:
            return Refusal(FAILED, f"{error.reason}: {error.detail}")

    def _by(self, header: Header) -> list[str] | Refusal:
        if "modality" not in header.described:
            if self._alike:
                return self.names
            known = ", ".join(self._rules)
            return Refusal(
                NOT_APPLICABLE, f"no modality is stated; put it into a folder named after its model: {known}"
            )
        refusals = {name: first_refusal(rules, header.described) for name, rules in self._rules.items()}
        taking = [name for name, refusal in refusals.items() if refusal is None]
        if taking:
            return taking
        said = "; ".join(f"{name}: {refusal.reason}" for name, refusal in refusals.items() if refusal)
        return Refusal(NOT_APPLICABLE, said)


def _of(rules: Sequence[Gate], fact: str) -> tuple[object, ...]:
    return tuple((gate.test, gate.values) for gate in rules if gate.fact == fact)
