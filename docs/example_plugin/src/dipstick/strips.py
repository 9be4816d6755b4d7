"""A folder of photographs with strips.csv: file, reading, patient."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from monai_brain.errors import DataError

TABLE = "strips.csv"
COLUMNS = ("file", "reading", "patient")


def read(path: str | Path) -> dict[str, Any]:
    """What the table names, without opening an image: monai_brain looks into each file itself.

    Raises:
        DataError: There is no such table, or it lacks a column.
    """
    folder = Path(path)
    try:
        with (folder / TABLE).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise DataError(f"{folder / TABLE} cannot be read: {error.strerror}.") from None
    lacking = [name for name in COLUMNS if not rows or name not in rows[0]]
    if lacking:
        raise DataError(f"{folder / TABLE} lacks {', '.join(lacking)}. Expected {', '.join(COLUMNS)}.")
    items = [
        {"image": str(folder / row["file"]), "class_name": row["reading"], "patient_id": row["patient"]}
        for row in rows
    ]
    return {"name": folder.name, "training": items}
