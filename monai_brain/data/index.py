"""A data set made into a datalist: every file looked at, bad ones named, what belongs together joined."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_brain.data import datalist, grouping
from monai_brain.data.duplicates import Pair, near_duplicates
from monai_brain.data.index_cache import IndexCache
from monai_brain.data.schema import SCHEMA_VERSION, Datalist, Item, numbered
from monai_brain.data.survey import CASE, survey
from monai_brain.data.verify import Describe, Seen
from monai_brain.errors import ConfigurationError, DataError

# A key of an item on its way; no data set can have it.
_SIDE = "\0side"
_NO_READER: tuple[str, Describe | None] = ("", None)
_KEPT = ("name", "left_out", "expected", "missing", "notes")


@dataclass(frozen=True)
class Indexed:
    """A datalist, and how much work it was.

    Attributes:
        datalist: What `index` says.
        opened: How many files were opened.
        cached: How many were known from an earlier run and have not changed.
    """

    datalist: Datalist
    opened: int
    cached: int


def index(
    found: Mapping[str, Any],
    root: Path,
    cache: Path | None = None,
    workers: int | None = None,
    classes: Mapping[str, str] | None = None,
    progress: bool = False,
) -> Indexed:
    """The datalist of what a reader of data sets found, after a look into every file.

    Each item gains sha256, height, width and a group: a name shared by all images that one patient,
    one family of patient ids, one given group or near equality ties together, also through others.
    Nothing is dropped in silence: "rejected" names each bad file with its reason, "missing" what the
    data set should hold and does not; "summary" counts, and "joined" says what tied groups together
    beyond the patient.

    Args:
        found: "training" (and "testing") with items of image, and class_name, patient_id, group
            where known; further "name", "rejected", "left_out", "expected", "missing"; "describe", a
            pair of a name with version and a function from a file to further keys of its item, among
            them "frames" where a file may hold several, each of which becomes an item; "unique", the
            key that no two images can share.
        root: Images are named as seen from here.
        cache: Where to keep what was seen, so that unchanged files are not opened again.
        workers: How many files are read at a time; as many as there are processors by default.
        classes: The class names of the data set on the left, those of the datalist on the right.
        progress: Show a bar on a terminal when it takes more than two seconds.

    Raises:
        DataError: Not one image is left.
        ConfigurationError: workers is below 1.
    """
    if workers is not None and workers < 1:
        raise ConfigurationError(f"workers is {workers}. Expected at least 1.")
    reader, describe = found.get("describe") or _NO_READER
    rejected = list(found.get("rejected", []))
    items = _items(found, root, rejected)
    with IndexCache(cache, reader) as known:
        items, seen, opened, looked = survey(items, known, describe, workers, progress)
        kept, copies = _sorted_out(items, seen, classes or {}, found.get("unique", ""), rejected)
        if not kept:
            some = "; ".join(f"{entry['image']}: {entry['reason']}" for entry in rejected[:3])
            raise DataError(f"{root}: none of {len(rejected)} files can be used. {some}")
        pairs = _pairs(kept, copies, known)
        known.keep(looked)
    links = grouping.links(kept, pairs)
    roots, needed = grouping.components(len(kept), links)
    named = grouping.names(kept, roots, [item[CASE] for item in kept])
    head = {
        "schema_version": SCHEMA_VERSION,
        **{key: found[key] for key in _KEPT if key in found},
        "labels": sorted({item["class_name"] for item in kept}),
        "summary": _summary(kept, named, links, len(rejected)),
        "joined": [_said(link, kept, named) for link in needed if link.reason not in ("patient_id", "group")],
        "rejected": sorted(rejected, key=lambda entry: (entry["image"], entry["reason"])),
    }
    lists: dict[str, list[Item]] = {"training": [], "testing": []}
    for item, name in zip(kept, named, strict=True):
        item["group"] = name
        lists[item.pop(_SIDE)].append(item)
        del item[CASE]
    return Indexed(datalist.read(head | lists), opened, len(looked) - opened)


def incomplete(content: Mapping[str, Any]) -> str:
    """A line such as "3063 of 3064: 2381.mat missing", or "" if all is there that should be."""
    missing = content.get("missing") or []
    if not missing:
        return ""
    count = content.get("expected", 0)
    some = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return f"{count - len(missing)} of {count}: {some} missing"


def _case(image: str, root: Path) -> str:
    return image.removeprefix(f"{root}{os.sep}").replace(os.sep, "/")


def _items(found: Mapping[str, Any], root: Path, rejected: list[dict[str, str]]) -> list[Item]:
    items: list[Item] = []
    taken: set[str] = set()
    for side in ("training", "testing"):
        for item in found.get(side, []):
            image = os.path.abspath(item["image"])  # noqa: PTH100  links stay links
            case = numbered(_case(image, root), item.get("frame"))
            if case in taken:
                rejected.append({"image": case, "reason": "named twice: it stands in the list already"})
                continue
            taken.add(case)
            items.append({"patient_id": None, "group": None, **item, "image": image, CASE: case, _SIDE: side})
    return items


def _sorted_out(
    items: Sequence[Item],
    seen: Sequence[Seen],
    classes: Mapping[str, str],
    unique: str,
    rejected: list[dict[str, str]],
) -> tuple[list[Item], list[np.ndarray]]:
    """The good items with all that is known of them, and their copies; the others go to `rejected`."""
    kept, copies = [], []
    known: dict[tuple[str, object], str] = {}
    for item, one in zip(items, seen, strict=True):
        whole = {**item, **(one.facts or {}), "sha256": one.sha256}
        name = whole.get("class_name")
        reason = one.reason or ("" if name else "no label: nothing says what it shows")
        if reason or one.copy is None:
            rejected.append({"image": item[CASE], "reason": reason})
            continue
        if whole.get(unique):
            twin = known.setdefault((whole[unique], whole.get("frame")), item[CASE])
            if twin != item[CASE]:
                rejected.append({"image": item[CASE], "reason": f"twice: its {unique} is that of {twin}"})
                continue
        whole["class_name"] = classes.get(str(name), name)
        kept.append(whole)
        copies.append(one.copy)
    return kept, copies


def _pairs(items: Sequence[Item], copies: Sequence[np.ndarray], known: IndexCache) -> list[Pair]:
    named = "".join(numbered(item["sha256"], item.get("frame")) for item in items)
    images = hashlib.sha256(named.encode()).hexdigest()
    pairs = known.pairs(images)
    if pairs is None:
        pairs = near_duplicates(copies)
        known.put_pairs(images, pairs)
    return pairs


def _summary(
    items: Sequence[Item], groups: Sequence[str | None], links: Sequence[grouping.Link], rejected: int
) -> dict[str, Any]:
    return {
        "images": len(items),
        "rejected": rejected,
        "classes": dict(sorted(Counter(item["class_name"] for item in items).items())),
        "patients": len({item["patient_id"] for item in items} - {None}),
        "groups": len(set(groups) - {None}),
        "of_unknown_group": sum(group is None for group in groups),
        "links": dict(sorted(Counter(link.reason for link in links).items())),
        "same_picture_other_class": sum(
            link.reason in ("identical", "near duplicate")
            and items[link.first]["class_name"] != items[link.second]["class_name"]
            for link in links
        ),
    }


def _said(link: grouping.Link, items: Sequence[Item], groups: Sequence[str | None]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "group": groups[link.first],
        "reason": link.reason,
        "images": [items[link.first][CASE], items[link.second][CASE]],
    }
    if link.found is not None:
        said |= {"correlation": link.found.correlation, "fine": link.found.fine, "turn": link.found.turn}
    return said
