"""The datalists of an experiment: the user's own with its folds, split anew, or split several times."""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_brain.data import datalist as lists
from monai_brain.data import splits
from monai_brain.data.schema import Datalist, numbered
from monai_brain.errors import ConfigurationError

SHUFFLED = "shuffled labels"


def named(datalist: str | os.PathLike[str]) -> Datalist:
    """The datalist, each item with the case that it is called by, wherever the datalist is copied to."""
    folder = Path(datalist).resolve().parent
    content = lists.read(datalist)
    for item in (*content["training"], *content["testing"]):
        place = Path(os.path.relpath(item["image"], folder)).as_posix()
        item.setdefault("case", numbered(place, item.get("frame")))
    return content


def partitions(
    content: Datalist,
    *,
    scheme: str | None,
    folds: int | None,
    seed: int,
    repeats: int,
    allow_leakage: bool,
) -> list[Datalist]:
    """One datalist a repeat: the given folds where neither scheme nor number is asked for, else new ones.

    The first repeat of a datalist that is split already keeps its folds; further ones are split by the
    same scheme with further seeds.

    Raises:
        ConfigurationError: There are no folds and no scheme to make them by.
    """
    if repeats < 1:
        raise ConfigurationError(f"repeats is {repeats}. Expected 1 or more.")
    kept = scheme is None and folds is None and bool(content["scheme"] or lists.folds(content))
    scheme = scheme or content["scheme"] or "patient"
    count = folds or content["folds"] or 5
    allow = allow_leakage or (kept and content["leakage"] is not None)
    found = [content] if kept else []
    if repeats > len(found) and kept and scheme not in splits.SCHEMES:
        raise ConfigurationError(f"Folds of the scheme {scheme!r} cannot be drawn again. Use --repeats 1.")
    for repeat in range(len(found), repeats):
        found.append(splits.split(content, scheme, count, seed=seed + repeat, allow_leakage=allow))
    return found


def shuffled(content: Datalist, seed: int) -> Datalist:
    """The datalist with its labels dealt anew among groups: what learns from it can learn nothing true.

    A group, which is what shares a patient or a group, keeps one label for all its images, so that a
    model that only knows patients again is found out where the split lets it see them.
    """
    items = [*content["training"], *content["testing"]]
    together = splits.groups(items)
    members: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for item, unit in zip(items, together, strict=True):
        members[unit].append(item)
    labels = [Counter(item["class_name"] for item in mine).most_common(1)[0][0] for mine in members.values()]
    random.Random(f"{seed}/{SHUFFLED}").shuffle(labels)  # noqa: S311  a split is no secret
    new = {id(item): label for mine, label in zip(members.values(), labels, strict=True) for item in mine}
    index = {name: number for number, name in enumerate(content["labels"])}

    def dealt(part: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**item, "class_name": new[id(item)], "label": index[new[id(item)]]} for item in part]

    return {
        **content,
        "training": dealt(content["training"]),
        "testing": dealt(content["testing"]),
        "control": SHUFFLED,
    }
