"""Data sets that stand in a table: one row an image, with what is known of it."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_brain.data import datalist
from monai_brain.data.folders import class_named
from monai_brain.data.schema import SCHEMA_VERSION, Datalist, Item
from monai_brain.errors import DataError
from monai_brain.files import sha256

_FILE, _LABEL = ("file", "image", "path"), ("label", "class_name", "class")
_NOTHING = ("", "nan", "na", "n/a", "none", "null")


def read(path: str | os.PathLike[str], label: str | None = None) -> Datalist:
    """The datalist of a CSV file with the columns file and label, and patient_id and group if known.

    Files are relative to the table. Further columns go along into every result. Commas or semicolons
    separate; the text is UTF-8, with or without a byte order mark.

    Args:
        path: The table.
        label: The column that names the class, if it is not label, class_name or class.

    Raises:
        DataError: A column, a label or a file is missing; the rows are named.
    """
    table = Path(path)
    columns, rows = _rows(table)
    file_column = _column(table, columns, _FILE)
    label_column = _column(table, columns, (label,) if label else _LABEL)
    unlabelled = [str(line) for line, row in rows if row[label_column].lower() in _NOTHING]
    if unlabelled:
        raise DataError(f"{table}: {len(unlabelled)} rows have no {label_column}: lines {_some(unlabelled)}")
    folder = table.resolve().parent
    missing = [row[file_column] for _, row in rows if not (folder / row[file_column]).is_file()]
    if missing:
        raise DataError(f"{table}: {len(missing)} of {len(rows)} images are missing: {_some(missing)}")
    items = [_item(folder, row, file_column, label_column) for _, row in rows]
    for item in items:
        item.setdefault("source", folder.name)
    labels = sorted({item["class_name"] for item in items})
    head = {"schema_version": SCHEMA_VERSION, "name": folder.name, "labels": labels}
    return datalist.read(head | {"training": items})


def _rows(table: Path) -> tuple[Sequence[str], list[tuple[int, dict[str, str]]]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=";" if first.count(";") > first.count(",") else ",")
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            rows = [
                (reader.line_num, {key: (value or "").strip() for key, value in row.items() if key})
                for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as a table: {error}") from error
    if not rows:
        raise DataError(f"{table}: holds no rows. Expected a header and one row an image.")
    return columns, rows


def _column(table: Path, columns: Sequence[str], names: Sequence[str]) -> str:
    for name in names:
        if name in columns:
            return name
    raise DataError(f"{table}: has no column {' or '.join(names)}. It has: {', '.join(columns)}.")


def _item(folder: Path, row: Mapping[str, str], file_column: str, label_column: str) -> Item:
    file = folder / row[file_column]
    known = {"image": str(file), "class_name": class_named(row[label_column]), "sha256": sha256(file)}
    for key in ("patient_id", "group"):
        known[key] = row.get(key) or None  # type: ignore[assignment]
    ours = {file_column, label_column, "label", "fold", "validates", *known}
    return {**{key: value for key, value in row.items() if key not in ours}, **known}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
