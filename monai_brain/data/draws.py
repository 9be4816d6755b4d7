"""Exactly so many images of a class, drawn by whole groups."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from monai_brain.data import datalist as lists
from monai_brain.data.datalist import Source
from monai_brain.data.schema import Datalist, Item, numbered
from monai_brain.data.splits import groups
from monai_brain.errors import ConfigurationError, UnknownNameError


def draw(datalist: Source, wanted: Mapping[str, int], seed: int = 0) -> Datalist:
    """The datalist with exactly so many images of each named class under "training", by whole groups.

    The groups that hold images of the class are shuffled by the seed. Of all sets of whole groups that
    make up the number, the one that comes first in that order is taken: a group is taken whenever the
    rest can still be made up by those after it. "drawn" says what was asked for, and names under "undrawn"
    what was not drawn, as seen from the images' common folder. An image without a group is one by itself.

    Args:
        datalist: A datalist file, or a datalist already read; its folds are forgotten.
        wanted: How many images of which class; other classes stay whole.
        seed: Another seed, another draw.

    Raises:
        UnknownNameError: The datalist has no such class.
        ConfigurationError: No set of whole groups makes up the number, or a group is of several classes.
    """
    result = lists.read(datalist)
    for name in wanted:
        if name not in result["labels"]:
            raise UnknownNameError("class of the datalist", name, result["labels"])
    items: list[Item] = [{**item, "fold": None, "validates": []} for item in result["training"]]
    units = groups(items)
    left_out: set[int] = set()
    for name, number in wanted.items():
        sizes: dict[int, int] = defaultdict(int)
        for unit, item in zip(units, items, strict=True):
            sizes[unit] += item["class_name"] == name
        _check_mixed(items, units, name)
        order = sorted(unit for unit, size in sizes.items() if size)
        random.Random(f"{seed}/draw/{name}").shuffle(order)  # noqa: S311  a draw is no secret
        taken = _first(order, [sizes[unit] for unit in order], number, name)
        left_out |= set(order) - taken
    paths = [item["image"] for item in items]
    root = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120  thousands of them
    undrawn = [
        numbered(os.path.relpath(path, root).replace(os.sep, "/"), item.get("frame"))
        for path, item, unit in zip(paths, items, units, strict=True)
        if unit in left_out
    ]
    kept = [item for item, unit in zip(items, units, strict=True) if unit not in left_out]
    result.pop("summary", None)  # it counts what was there before
    head = {"scheme": None, "folds": None, "seed": None, "leakage": None}
    drawn = {"classes": dict(wanted), "seed": seed, "undrawn": undrawn}
    return lists.read({**result, **head, "training": kept, "drawn": drawn})


def _check_mixed(items: Sequence[Item], units: Sequence[int], name: str) -> None:
    classes: dict[int, set[str]] = defaultdict(set)
    for unit, item in zip(units, items, strict=True):
        classes[unit].add(item["class_name"])
    mixed = sum(name in found and len(found) > 1 for found in classes.values())
    if mixed:
        raise ConfigurationError(
            f"{mixed} groups hold {name} beside other classes: to draw some would tear others away."
        )


def _first(order: Sequence[int], sizes: Sequence[int], number: int, name: str) -> set[int]:
    """The first units in order that make up the number, from the sums that those after each can make up."""
    reachable = [1] * (len(order) + 1)  # bit s of entry i: units from i on can make up s
    for i in reversed(range(len(order))):
        reachable[i] = reachable[i + 1] | reachable[i + 1] << sizes[i]
    if number < 1 or not reachable[0] >> number & 1:
        total = sum(sizes)
        near = [s for s in range(1, total + 1) if reachable[0] >> s & 1]
        nearest = sorted(sorted(near, key=lambda s: (abs(s - number), s))[:2])
        raise ConfigurationError(
            f"Whole groups of {name} cannot make up {number} of {total} images. "
            f"Nearest: {', '.join(map(str, nearest)) or 'none'}."
        )
    taken = set()
    for i, unit in enumerate(order):
        if sizes[i] <= number and reachable[i + 1] >> (number - sizes[i]) & 1:
            taken.add(unit)
            number -= sizes[i]
    return taken
