"""Which images must stay together: one patient, one family of patient ids, one given group, one picture."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai_brain.data.duplicates import Pair


@dataclass(frozen=True)
class Link:
    """Two items that stay together, by their places in the list, and why."""

    first: int
    second: int
    reason: str
    found: Pair | None = None


def family(patient_id: str) -> str:
    """The id without a letter after its last digit: MR040240 and MR040240B may be one person."""
    return re.sub(r"(?<=\d)[A-Za-z]$", "", patient_id)


def links(items: Sequence[Mapping[str, Any]], pairs: Iterable[Pair] = ()) -> list[Link]:
    """Every link between items: by patient, group, family, equal bytes, file of the frames, near duplicates.

    Where many items share a key each is linked to the first that has it, so that the list stays as
    long as the items.
    """
    found = []
    first: dict[tuple[str, str], int] = {}
    for number, item in enumerate(items):
        patient = item.get("patient_id")
        keys = (
            ("patient_id", patient),
            ("group", item.get("group")),
            ("family", family(patient) if patient else None),
            ("identical", _bytes_of(item)),
            ("file", item.get("image") if item.get("frame") is not None else None),
        )
        linked: set[int] = set()
        for reason, value in keys:
            if value is not None:
                other = first.setdefault((reason, value), number)
                if other != number and not (reason == "family" and other in linked):
                    linked.add(other)
                    found.append(Link(other, number, reason))
    same = {(link.first, link.second) for link in found if link.reason == "identical"}
    return found + [
        Link(pair.first, pair.second, "near duplicate", pair)
        for pair in pairs
        if (pair.first, pair.second) not in same
    ]


def _bytes_of(item: Mapping[str, Any]) -> str | None:
    """What is equal for equal images: the file's hash, and the frame where one is chosen."""
    return item.get("sha256") and f"{item['sha256']} {item.get('frame', '')}"


def components(count: int, found: Iterable[Link]) -> tuple[list[int], list[Link]]:
    """The smallest place in each item's component, and the links that were needed to join them."""
    parent = list(range(count))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    needed = []
    for link in found:
        ends = sorted((root(link.first), root(link.second)))
        if ends[0] != ends[1]:
            parent[ends[1]] = ends[0]
            needed.append(link)
    return [root(number) for number in range(count)], needed


def names(items: Sequence[Mapping[str, Any]], roots: Sequence[int], cases: Sequence[str]) -> list[str | None]:
    """A name for each item's component that does not hang on the order of the items.

    An image that stands alone, and of which neither group nor patient is known, has none: a group made
    up for it would say that it shares its patient with no other image, and nobody knows that. Else the
    name is the smallest of the given groups, else of the patients' families, else of the cases; where two
    components would bear one name, each gets its smallest case behind it.
    """
    members = defaultdict(list)
    for number, root in enumerate(roots):
        members[root].append(number)
    chosen: dict[int, str | None] = {
        root: _name([items[i] for i in mine], [cases[i] for i in mine]) for root, mine in members.items()
    }
    often = Counter(chosen.values())
    for root, mine in members.items():
        if chosen[root] is not None and often[chosen[root]] > 1:
            chosen[root] = f"{chosen[root]} ({min(cases[i] for i in mine)})"
    return [chosen[root] for root in roots]


def _name(items: Sequence[Mapping[str, Any]], cases: Sequence[str]) -> str | None:
    given = {item["group"] for item in items if item.get("group")}
    patients = {family(item["patient_id"]) for item in items if item.get("patient_id")}
    if not given and not patients and len(items) == 1:
        return None
    return str(min(given or patients or cases))
