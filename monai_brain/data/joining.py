"""Several data sets as one datalist: classes meet by name, patients of different sets stay different."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from monai_brain.data import datalist as lists
from monai_brain.data.duplicates import copy_of, near_duplicates
from monai_brain.data.folders import class_named
from monai_brain.data.formats import read_item
from monai_brain.data.schema import SCHEMA_VERSION, Datalist, Item
from monai_brain.errors import ConfigurationError

_IDS = ("patient_id", "group")


def join(datalists: Sequence[str | os.PathLike[str]], *, duplicates: bool = True) -> Datalist:
    """The images of all datalists in one, not split.

    Classes meet by their project's names, so that "notumor" and "no_tumor" are one. An image whose bytes
    stand in an earlier list is left out, and counted; groups that hold near duplicates of one another
    become one group. A patient or group of one name in two sets is two, each named after its set.

    Args:
        datalists: Two or more datalist files.
        duplicates: Look for near duplicates across the sets, which opens every image.

    Raises:
        ConfigurationError: Fewer than two are given, or two are of one name.
        DataError: One is no datalist.
    """
    if len(datalists) < 2:
        raise ConfigurationError(f"Joining takes at least two datalists; {len(datalists)} given.")
    parts = [lists.read(path) for path in datalists]
    names = [part["name"] or Path(path).stem for part, path in zip(parts, datalists, strict=True)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        names = [f"{name} {number}" if name in twice else name for number, name in enumerate(names)]
    shared = {key: _shared(parts, key) for key in _IDS}
    found: dict[str, list[Item]] = {"training": [], "testing": []}
    of: list[tuple[Item, int]] = []
    seen: set[str] = set()
    copies: Counter[str] = Counter()
    for number, (part, name) in enumerate(zip(parts, names, strict=True)):
        bytes_here = set()
        for side in ("training", "testing"):
            for item in part[side]:
                digest = item.get("sha256")
                if digest in seen:
                    copies[name] += 1
                    continue
                bytes_here.add(digest)
                item = _named(item, name, shared)
                found[side].append(item)
                of.append((item, number))
        seen |= {digest for digest in bytes_here if digest}
    tied = _tie(of) if duplicates else 0
    labels = sorted({item["class_name"] for item, _ in of})
    for item, _ in of:
        item["label"] = labels.index(item["class_name"])
    return lists.read(
        {
            "schema_version": SCHEMA_VERSION,
            "name": " + ".join(names),
            "labels": labels,
            "joined_sets": [
                {
                    "name": name,
                    "images": sum(number == place for _, place in of),
                    "copies_left_out": copies[name],
                }
                for number, name in enumerate(names)
            ],
            "groups_tied_across_sets": tied,
            **found,
        }
    )


def _shared(parts: Sequence[Datalist], key: str) -> set[str]:
    """The ids that stand in more than one set, where they can only mean different people."""
    held: Counter[str] = Counter()
    for part in parts:
        held.update({item[key] for item in (*part["training"], *part["testing"])} - {None})
    return {name for name, count in held.items() if count > 1}


def _named(item: Item, name: str, shared: dict[str, set[str]]) -> Item:
    ids = {key: f"{name}: {item[key]}" if item[key] in shared[key] else item[key] for key in _IDS}
    return {
        **item,
        **ids,
        "class_name": class_named(item["class_name"]),
        "source": item.get("source") or name,
        "fold": None,
        "validates": [],
        "label": None,
    }


def _tie(of: Sequence[tuple[Item, int]]) -> int:
    """Give one group to the groups of different sets that show one picture; how many pairs did so."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        copies = list(pool.map(lambda pair: copy_of(read_item(pair[0])), of))
    pairs = [pair for pair in near_duplicates(copies) if of[pair.first][1] != of[pair.second][1]]
    members: dict[str, list[Any]] = defaultdict(list)
    for item, _ in of:
        if item["group"] is not None:
            members[item["group"]].append(item)
    for pair in pairs:
        first, second = of[pair.first][0], of[pair.second][0]
        new = first["group"] or second["group"] or f"copies of {Path(first['image']).name}"
        for item in [first, second, *members.pop(second["group"], [])]:
            item["group"] = new
            members[new].append(item)
    return len(pairs)
