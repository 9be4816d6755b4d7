"""What a datalist must hold: the rules of its file, checked before anything uses it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from monai_brain.errors import ConfigurationError, DataError

SCHEMA_VERSION = 1
RECORD_WISE = "record-wise"

Datalist = dict[str, Any]
Item = dict[str, Any]


def parse(path: Path) -> Mapping[str, Any]:
    """The JSON object in the file, read strictly: no key twice, no NaN, no byte order mark."""
    try:
        text = path.read_bytes().decode("utf-8")
        if text.startswith("\ufeff"):
            raise ValueError("it begins with a byte order mark; save it as UTF-8 without one")
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} does not exist. Make a datalist: monai-brain data index KIND PATH -o FILE"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error or 'nested too deep'}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: a datalist is a JSON object, not a {type(content).__name__}")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"the key {twice[0]!r} stands twice in one object")
    return dict(pairs)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in a datalist")


def checked(content: Mapping[str, Any], folder: Path, name: str) -> Datalist:
    """The datalist with every rule checked, every key filled in and every image path absolute.

    Raises:
        DataError: A rule is broken; the message begins with `name`.
    """
    version = content.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise DataError(
            f"{name}: schema_version is {version!r}, expected {SCHEMA_VERSION}. "
            "Make a datalist: monai-brain data index KIND PATH -o FILE"
        )
    labels = content.get("labels")
    if not isinstance(labels, list) or not labels or not all(isinstance(a, str) and a for a in labels):
        raise DataError(f"{name}: labels is {labels!r}, expected a list of class names")
    if len(set(labels)) != len(labels):
        raise DataError(f"{name}: labels names a class twice: {', '.join(labels)}")
    leakage = content.get("leakage")
    if leakage not in (None, RECORD_WISE):
        raise DataError(f"{name}: leakage is {leakage!r}, expected null or {RECORD_WISE!r}")
    lists: dict[str, list[Item]] = {}
    for key in ("training", "testing"):
        items = content.get(key, [])
        if not isinstance(items, list):
            raise DataError(f"{name}: {key} is a {type(items).__name__}, expected a list of items")
        lists[key] = [
            _checked_item(item, labels, folder, f"{name}: {key}[{i}]") for i, item in enumerate(items)
        ]
    everything = lists["training"] + lists["testing"]
    if not everything:
        raise DataError(f"{name}: names no image")
    seen: set[str] = set()
    for item in everything:
        case = numbered(item["image"], item.get("frame"))
        if case in seen:
            raise DataError(f"{name}: the image {case} is named twice")
        seen.add(case)
    if leakage is None:
        _check_sides(lists, name)
    head = {"schema_version": SCHEMA_VERSION, "name": "", "labels": [], "scheme": None, "folds": None}
    return {**head, "seed": None, "leakage": None, **content, "labels": list(labels), **lists}


def _checked_item(item: object, labels: Sequence[str], folder: Path, where: str) -> Item:
    if not isinstance(item, Mapping):
        raise DataError(f"{where} is a {type(item).__name__}, expected an object with image and label")
    image = item.get("image")
    if not isinstance(image, str | os.PathLike) or not str(image):
        raise DataError(f"{where}: image is {image!r}, expected a path")
    label, class_name = item.get("label"), item.get("class_name")
    if class_name is None and isinstance(label, int) and 0 <= label < len(labels):
        class_name = labels[label]
    if class_name not in labels:
        raise DataError(
            f"{where}: label {label!r}, class {class_name!r}: expected one of {', '.join(labels)}"
        )
    index = labels.index(class_name)
    if label is not None and (isinstance(label, bool) or label != index):
        raise DataError(f"{where}: label is {label!r} but {class_name!r} has the index {index} in labels")
    fold, validates = item.get("fold"), item.get("validates") or []
    if not isinstance(validates, list) or not all(_whole(number) for number in (*validates, fold or 0)):
        raise DataError(
            f"{where}: fold {fold!r}, validates {validates!r}: expected a number and a list of numbers"
        )
    if fold in validates:
        raise DataError(f"{where}: is tested and validates in the same fold {fold}")
    frame = item.get("frame")
    if frame is not None and not _whole(frame):
        raise DataError(f"{where}: frame is {frame!r}, expected a whole number, the first frame being 0")
    ids = {key: _known_id(item.get(key), f"{where}: {key}") for key in ("patient_id", "group")}
    absolute = os.path.normpath(os.path.join(folder, image))  # noqa: PTH118  thousands of them
    places = {"fold": fold, "validates": list(validates)}
    known = {key: value for key, value in item.items() if key != "frame" or value is not None}
    return {**known, "image": absolute, "label": index, "class_name": class_name, **ids, **places}


def numbered(name: str, frame: object) -> str:
    """The name of one frame of a file, or the file's own name where no frame is chosen."""
    return name if frame is None or frame == "" else f"{name} frame {frame}"


def called(item: Mapping[str, Any]) -> str:
    """What an item is called: the case that it bears, else its image, and the frame where one is chosen."""
    return str(item.get("case") or numbered(str(item["image"]), item.get("frame")))


def _whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _known_id(value: object, where: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{where} is {value!r}, expected a text")
    return str(value)


def _check_sides(lists: Mapping[str, Sequence[Item]], name: str) -> None:
    for key in ("patient_id", "group"):
        places: dict[str, set[object]] = {}
        for title, items in lists.items():
            for item in items:
                if item[key] is not None:
                    places.setdefault(item[key], set()).add((title, item["fold"], tuple(item["validates"])))
        torn = sorted(identity for identity, found in places.items() if len(found) > 1)
        if torn:
            more = ", ..." if len(torn) > 5 else ""
            raise DataError(
                f"{name}: {len(torn)} {key} on both sides of a split: {', '.join(torn[:5])}{more}. "
                'Split by patient, or own up to it with "leakage": "record-wise"'
            )
