"""Data sets that stand in a table: one row an image, with what is known of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_brain.data.folders import class_named
from monai_brain.data.schema import Datalist, Item
from monai_brain.data.tables import Row, column, frame_of, rows_of

_FILE, _LABEL = ("file", "image", "path"), ("label", "class_name", "class")
_OURS = ("file", "label", "patient_id", "group", "source", "frame")
_NOTHING = ("", "nan", "na", "n/a", "none", "null")


def read(path: str | os.PathLike[str], columns: Mapping[str, str] | None = None) -> Datalist:
    """The rows of a CSV or Parquet table with the columns file and label, patient_id and group if known.

    Files are relative to the table. The column frame chooses a frame of a multi-frame file or a slice
    of a volume, the first being 0. Further columns go along into every result. A row without a file or
    a label is rejected with its line. No image is opened here.

    Args:
        path: The table.
        columns: The names of file, label, patient_id, group, source and frame in this table, where
            they are others.

    Raises:
        DataError: The table cannot be read, or a column is missing.
    """
    table = Path(os.path.realpath(path))
    names, rows = rows_of(table)
    chosen = _columns(table, names, columns or {})
    items: list[Item] = []
    rejected = []
    for line, row in rows:
        file, label = (row[chosen[key]] for key in ("file", "label"))
        if not file:
            rejected.append({"image": f"line {line}", "reason": f"no file: {chosen['file']} is empty"})
            continue
        if label.lower() in _NOTHING:
            rejected.append({"image": file, "reason": f"no label: line {line} has no {chosen['label']}"})
            continue
        item = _item(table.parent, row, chosen)
        frame = frame_of(table, line, item.pop("frame", None) or "")
        items.append(item if frame is None else item | {"frame": frame})
    return {"name": table.parent.name, "training": items, "rejected": rejected}


def _columns(table: Path, names: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    unknown = [key for key in given if key not in _OURS]
    if unknown:
        column(table, _OURS, (unknown[0],), "Columns that can be named")
    chosen = {
        "file": column(table, names, (given["file"],) if "file" in given else _FILE),
        "label": column(table, names, (given["label"],) if "label" in given else _LABEL),
    }
    for key in _OURS[2:]:
        if key in given:
            chosen[key] = column(table, names, (given[key],))
        elif key in names:
            chosen[key] = key
    return chosen


def _item(folder: Path, row: Row, chosen: Mapping[str, str]) -> Item:
    known: Item = {
        "image": str(folder / row[chosen["file"]]),
        "class_name": class_named(row[chosen["label"]]),
        "source": folder.name,
    }
    for key in _OURS[2:]:
        if key in chosen:
            known[key] = row[chosen[key]] or known.get(key)
    ours = {*chosen.values(), "label", "class_name", "fold", "validates", *known}
    return {**{key: value for key, value in row.items() if key not in ours}, **known}
