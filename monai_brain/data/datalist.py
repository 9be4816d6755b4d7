"""The datalist: which images there are, what they show, and on which side of each fold they stand.

In memory every image is an absolute path; in the file it is relative to the file's own folder, so a
folder with its datalist can be moved as one. This module is the only reader and writer of that file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from monai_brain.data.class_names import maps
from monai_brain.data.schema import Datalist, Item, checked, parse
from monai_brain.errors import ConfigurationError, DataError
from monai_brain.files import write_json

Source = str | os.PathLike[str] | Mapping[str, Any]


def read(source: Source) -> Datalist:
    """The checked datalist, with absolute image paths, from a file or from a dict already read.

    Relative images of a file start at the file's folder, those of a dict at the working folder.

    Raises:
        DataError: The file is not a datalist; one line names the file, the item and the reason.
    """
    if isinstance(source, Mapping):
        return checked(source, Path.cwd(), str(source.get("name") or "datalist"))
    path = Path(source)
    return checked(parse(path), path.resolve().parent, str(path))


def write(datalist: Source, path: str | os.PathLike[str]) -> Path:
    """The path of the datalist written there: whole or not at all, images relative to its folder."""
    whole = read(datalist)
    target = Path(path)
    folder = target.resolve().parent
    for item in (*whole["training"], *whole["testing"]):
        item["image"] = _relative(item["image"], folder)
    write_json(target, whole)
    return target


def part(
    datalist: Source,
    fold: int | None,
    side: Literal["train", "validation", "test"],
    labels: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
) -> list[Item]:
    """The items of one side of one fold, each with an absolute image and its label as an index.

    An item is tested in its `fold`, validates in the folds named by `validates`, and trains in all
    others; the list "testing" is tested in every fold. With fold None every item is on the side that is
    asked for, folds or none: so a data set from elsewhere is judged, and a last model trained on all.

    All items have the same keys, so that any loader can put them into one batch: `fold` and
    `validates`, which have done their work, are left out; a further key is kept as it is where
    every item has it in one scalar type, and is text, empty where it is missing, where not.

    No validation is ever made up: if no item validates in the fold, asking for it is an error,
    because falling back on the test part would choose the weights by what they are judged on.

    Args:
        datalist: A datalist file, or a datalist already read.
        fold: The number of the fold, or None for the whole list, to train on or to be tested.
        side: "train", "validation" or "test".
        labels: The model's class names in the model's order; by default the datalist's own.
        rename: The datalist's class names on the left, the model's on the right.

    Raises:
        ConfigurationError: The fold, the side or a class name is unknown, or nothing validates.
        DataError: Files that the side needs are missing; the first few are named.
    """
    content = read(datalist)
    name = content["name"] or "datalist"
    if side not in ("train", "validation", "test"):
        raise ConfigurationError(f"side is {side!r}. Expected 'train', 'validation' or 'test'.")
    training, testing = content["training"], content["testing"]
    if fold is None:
        if side == "validation":
            raise ConfigurationError(f"{name}: fold None has no validation side. Give a fold.")
        chosen = training + testing
    else:
        _check_fold(content, fold, name)
        chosen = [item for item in training if _side(item, fold) == side]
        if side == "test":
            chosen += testing
    if not chosen:
        raise ConfigurationError(
            f"{name}: fold {fold} has no {side} items. Split it: monai-brain data split FILE --scheme patient"
        )
    index = match(labels or content["labels"], (item["class_name"] for item in chosen), rename)
    _check_files(chosen, name)
    new = rename or {}
    return [
        {
            **item,
            "label": index[item["class_name"]],
            "class_name": new.get(item["class_name"], item["class_name"]),
        }
        for item in _even(chosen)
    ]


def match(
    labels: Sequence[str], found: Iterable[str], rename: Mapping[str, str] | None = None
) -> dict[str, int]:
    """The index in `labels` of each class name found in the data; names meet, never indices.

    Raises:
        ConfigurationError: A name of the data is none of the model's.
    """
    renamed = rename or {}
    names = sorted(set(found))
    unknown = [name for name in names if renamed.get(name, name) not in labels]
    if unknown:
        raise ConfigurationError(
            f"Unknown classes in the data: {', '.join(unknown)}. Expected: {', '.join(labels)}. "
            f"Name what they are: {maps(unknown, labels)}, or train a head for them: --new-head"
        )
    return {name: list(labels).index(renamed.get(name, name)) for name in names}


def folds(datalist: Source) -> list[int]:
    """The numbers of the folds, in order; [0] if only the list "testing" divides the data."""
    return _folds(read(datalist))


def _folds(content: Mapping[str, Any]) -> list[int]:
    numbers = {item["fold"] for item in content["training"] if item["fold"] is not None}
    numbers |= {fold for item in content["training"] for fold in item["validates"]}
    if not numbers and content["testing"]:
        return [0]
    return sorted(numbers)


def _check_fold(content: Mapping[str, Any], fold: int, name: str) -> None:
    known = _folds(content)
    if isinstance(fold, bool) or not isinstance(fold, int) or fold not in known:
        have = ", ".join(map(str, known)) or "none; split it first: monai-brain data split FILE"
        raise ConfigurationError(f"{name} has no fold {fold!r}. It has: {have}.")


def _side(item: Item, fold: int) -> str:
    if item["fold"] == fold:
        return "test"
    return "validation" if fold in item["validates"] else "train"


def _even(items: Sequence[Item]) -> list[Item]:
    keys = dict.fromkeys(key for item in items for key in item if key not in ("fold", "validates"))
    scalars = ({str}, {int}, {float}, {bool})
    plain = {key for key in keys if {type(item.get(key)) for item in items} in scalars}
    return [{key: item[key] if key in plain else _text(item.get(key)) for key in keys} for item in items]


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _check_files(items: Sequence[Item], name: str) -> None:
    missing = [item["image"] for item in items if not Path(item["image"]).is_file()]
    if missing:
        first = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DataError(f"{name}: {len(missing)} of {len(items)} images are missing: {first}")


def _relative(image: str, folder: Path) -> str:
    try:
        return os.path.relpath(image, folder).replace(os.sep, "/")
    except ValueError:  # another drive: nothing relative leads there
        return Path(image).as_posix()
