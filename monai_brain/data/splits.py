"""Splits that keep what belongs together on one side, and own up where they do not.

Images belong together when they share a patient or a group, directly or through others. All draws
come from the seed and the order of the list, in plain Python: the same on every machine.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monai_brain.data import datalist as lists
from monai_brain.data.balance import balanced
from monai_brain.data.datalist import Source
from monai_brain.data.schema import RECORD_WISE, Datalist, Item
from monai_brain.errors import ConfigurationError, UnknownNameError

SCHEMES = ("patient", "kfold", "holdout", "paper", "cvind")
ROUNDINGS = ("floor", "ceil")
HOLDOUT = 0.2
VALIDATION = 0.2
GROUPED_TENTH = 0.1


def split(
    datalist: Source,
    scheme: str,
    folds: int = 5,
    seed: int = 0,
    allow_leakage: bool = False,
    validation: float | None = None,
    rounding: str = "floor",
) -> Datalist:
    """The datalist with `fold` and `validates` on every item of "training".

    - patient: `folds` folds, each class spread evenly, all images of one group in one fold.
    - holdout: one fold; a fifth of each class by group is test.
    - kfold: `folds` folds, each class spread evenly, image by image.
    - paper: one fold, image by image and class by class as in the published brain-tumour splits.
      Rounding "floor": test n // 5, validation (n - test) // 5 (arXiv 2512.03751). Rounding "ceil":
      test n / 5 rounded up, validation a tenth of the rest by group (10.19651/j.cnki.emt.2519530).
    - cvind: the folds that the authors of figshare 1512427 published in cvind.mat, by published_fold.

    kfold, paper and cvind may tear groups apart. Where they do, or where an image names neither patient
    nor group, they are refused unless `allow_leakage`, and the result says leakage "record-wise".
    In every fold the validation part is a share of what is not test, by group wherever the test
    part is (and with rounding "ceil"). Items of "testing" stay test in every fold.

    Args:
        datalist: A datalist file, or a datalist already read.
        scheme: One of SCHEMES.
        folds: How many folds; holdout and paper always make one, cvind as many as were published.
        seed: Another seed, another split.
        allow_leakage: Accept that images of one group stand on two sides.
        validation: The share of the images outside the test part that validates: a fifth unless
            given (a tenth with rounding "ceil"), 0 for none.
        rounding: "floor" or "ceil", for the scheme paper.

    Raises:
        ConfigurationError: The scheme is unknown, or the data do not allow it.
    """
    _check(scheme, folds, validation, rounding)
    result = lists.read(datalist)
    items = [{**item, "fold": None, "validates": []} for item in result["training"]]
    if not items:
        raise ConfigurationError('The list "training" is empty: there is nothing to split.')
    together = groups(items)
    grouped = scheme in ("patient", "holdout")
    if scheme == "cvind":
        leaks = _torn(items, together, allow_leakage)
    else:
        leaks = not grouped and _leaks(items, together, scheme, allow_leakage)
    if grouped:
        _check_known(items, scheme)
    count = folds if scheme in ("patient", "kfold") else 1
    units = together if grouped or scheme == "cvind" else list(range(len(items)))
    if scheme == "paper":
        _paper_test(items, seed, rounding)
    elif scheme == "cvind":
        count = _published_test(items)
    else:
        shares = [HOLDOUT, 1 - HOLDOUT] if scheme == "holdout" else [1 / count] * count
        bins = balanced(units, _classes(items), shares, f"{seed}/test")
        for item, number in zip(items, bins, strict=True):
            item["fold"] = number if number < count else None
    for fold in range(count):
        if scheme == "paper" and rounding == "floor" and validation is None:
            _paper_validation(items, seed)
        elif validation != 0:
            share = validation or (GROUPED_TENTH if rounding == "ceil" and scheme == "paper" else VALIDATION)
            _validate(items, together if rounding == "ceil" else units, fold, share, seed)
    head = {"scheme": scheme, "folds": count, "seed": seed, "leakage": RECORD_WISE if leaks else None}
    return lists.read({**result, **head, "training": items})


def groups(items: Iterable[Mapping[str, Any]]) -> list[int]:
    """A number for each item, equal for all that hang together by patient_id or group."""
    parent: list[int] = []
    first: dict[tuple[str, str], int] = {}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number, item in enumerate(items):
        parent.append(number)
        for key in ("patient_id", "group"):
            if item.get(key) is not None:
                parent[root(number)] = root(first.setdefault((key, item[key]), number))
    return [root(number) for number in range(len(parent))]


def table(datalist: Source) -> str:
    """The counts of images and groups of each class and fold, as text in columns."""
    content = lists.read(datalist)
    items = content["training"] + content["testing"]
    together = groups(items)
    numbers = sorted({item["fold"] for item in content["training"] if item["fold"] is not None})
    rows = [["class", "images", "groups", *(f"fold {number}" for number in numbers), "testing"]]
    for name in [*content["labels"], "all"]:
        mine = [i for i, item in enumerate(items) if name in (item["class_name"], "all")]
        cells = [_cell(mine, items, together, number) for number in numbers]
        testing = [i for i in mine if i >= len(content["training"])]
        rows.append([name, str(len(mine)), str(len({together[i] for i in mine})), *cells, str(len(testing))])
    for side in ("train", "validation"):
        counts = [sum(_side(item, number) == side for item in content["training"]) for number in numbers]
        rows.append([side, "", "", *map(str, counts), ""])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    head = (
        f"{content['name']}: scheme {content['scheme']}, seed {content['seed']}, leakage {content['leakage']}"
    )
    return "\n".join([head, "test images (groups) of each fold:", *lines])


def _cell(mine: Sequence[int], items: Sequence[Item], together: Sequence[int], fold: int) -> str:
    here = [i for i in mine if items[i]["fold"] == fold]
    return f"{len(here)} ({len({together[i] for i in here})})"


def _side(item: Item, fold: int) -> str:
    return "test" if item["fold"] == fold else "validation" if fold in item["validates"] else "train"


def _classes(items: Iterable[Item]) -> list[str]:
    return [item["class_name"] for item in items]


def _check(scheme: str, folds: int, validation: float | None, rounding: str) -> None:
    if scheme not in SCHEMES:
        raise UnknownNameError("split scheme", scheme, SCHEMES)
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ConfigurationError(f"folds is {folds!r}. Expected a whole number of at least 2.")
    if validation is not None and not 0 <= validation < 1:
        raise ConfigurationError(f"validation is {validation!r}. Expected a share from 0 to below 1.")
    if rounding not in ROUNDINGS:
        raise UnknownNameError("rounding", rounding, ROUNDINGS)


def _unknown(items: Iterable[Item]) -> int:
    return sum(item["patient_id"] is None and item["group"] is None for item in items)


def _check_known(items: Sequence[Item], scheme: str) -> None:
    unknown = _unknown(items)
    if unknown:
        raise ConfigurationError(
            f"{unknown} of {len(items)} images name neither patient_id nor group, which scheme {scheme!r} "
            "needs. Add them, or split image by image: --scheme kfold --allow-leakage"
        )


def _leaks(items: Sequence[Item], together: Sequence[int], scheme: str, allowed: bool) -> bool:
    repeated = sum(count for count in Counter(together).values() if count > 1)
    unknown = _unknown(items)
    if not repeated and not unknown:
        return False
    if not allowed:
        raise ConfigurationError(
            f"Scheme {scheme!r} splits image by image, but {repeated} of {len(items)} images share a patient "
            f"or group with another and {unknown} name neither, so patients may stand on both sides. "
            "Use --scheme patient, or accept it: --allow-leakage"
        )
    return True


def _published(items: Sequence[Item]) -> list[int]:
    numbers = [str(item.get("published_fold", "")) for item in items]
    unknown = sum(not number.isdecimal() or int(number) < 1 for number in numbers)
    if unknown:
        raise ConfigurationError(
            f"{unknown} of {len(items)} images have no published_fold, which scheme 'cvind' needs. Put "
            "cvind.mat beside the .mat files and index them again: monai-brain data index figshare PATH"
        )
    return [int(number) for number in numbers]


def _published_test(items: Sequence[Item]) -> int:
    numbers = _published(items)
    for item, number in zip(items, numbers, strict=True):
        item["fold"] = number - 1
    return max(numbers)


def _torn(items: Sequence[Item], together: Sequence[int], allowed: bool) -> bool:
    places = defaultdict(set)
    for unit, number in zip(together, _published(items), strict=True):
        places[unit].add(number)
    torn = sum(len(found) > 1 for found in places.values())
    unknown = _unknown(items)
    if (torn or unknown) and not allowed:
        raise ConfigurationError(
            f"The published folds put {torn} groups on both sides and {unknown} images name neither patient "
            "nor group. Use --scheme patient, or accept it: --allow-leakage"
        )
    return bool(torn or unknown)


def _validate(items: Sequence[Item], units: Sequence[int], fold: int, share: float, seed: int) -> None:
    rest = [i for i, item in enumerate(items) if item["fold"] != fold]
    bins = balanced(
        [units[i] for i in rest],
        _classes(items[i] for i in rest),
        [share, 1 - share],
        f"{seed}/validation/{fold}",
        every_class=False,
    )
    for i, number in zip(rest, bins, strict=True):
        if number == 0:
            items[i]["validates"].append(fold)


def _shuffled(items: Sequence[Item], seed: int) -> dict[str, list[Item]]:
    drawn: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        drawn[item["class_name"]].append(item)
    for name, members in drawn.items():
        random.Random(f"{seed}/paper/{name}").shuffle(members)  # noqa: S311  a split is no secret
    return drawn


def _paper_test(items: Sequence[Item], seed: int, rounding: str) -> None:
    for members in _shuffled(items, seed).values():
        count = len(members) // 5 if rounding == "floor" else -(-len(members) // 5)
        for item in members[:count]:
            item["fold"] = 0


def _paper_validation(items: Sequence[Item], seed: int) -> None:
    for members in _shuffled(items, seed).values():
        rest = [item for item in members if item["fold"] is None]
        for item in rest[: len(rest) // 5]:
            item["validates"].append(0)
