"""Tables as rows of text, from CSV with commas or semicolons and from Parquet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from monai_brain.errors import DataError, MissingExtraError

Row = dict[str, str]
_PARQUET = b"PAR1"


def rows_of(table: Path) -> tuple[list[str], list[tuple[int, Row]]]:
    """The names of the columns, and each row with its line, counting the header as line 1.

    Commas or semicolons separate; the text is UTF-8, with or without a byte order mark. An empty
    cell is "".

    Raises:
        DataError: The file cannot be read, or holds no row.
    """
    try:
        if not table.is_file():
            raise OSError("there is no such file")
        with table.open("rb") as stream:
            is_parquet = stream.read(4) == _PARQUET
        names, rows = _parquet(table) if is_parquet else _csv(table)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as a table: {error}") from error
    if not rows:
        raise DataError(f"{table}: holds no rows. Expected a header and one row an image.")
    return names, rows


def column(table: Path, have: Sequence[str], names: Sequence[str], title: str = "It has") -> str:
    """The first of the names that the table has.

    Raises:
        DataError: It has none of them.
    """
    for name in names:
        if name in have:
            return name
    raise DataError(f"{table}: has no column {' or '.join(names)}. {title}: {', '.join(have)}.")


def frame_of(table: Path, line: int, text: str) -> int | None:
    """The number in a cell of the column frame, the first frame being 0; None where the cell is empty.

    Raises:
        DataError: It is no whole number.
    """
    if not text:
        return None
    whole = text.removesuffix(".0")  # how tables with empty cells hold whole numbers
    if not whole.isdecimal():
        raise DataError(
            f"{table}: line {line}: frame is {text!r}, expected a whole number, the first frame being 0"
        )
    return int(whole)


def _csv(table: Path) -> tuple[list[str], list[tuple[int, Row]]]:
    with table.open(encoding="utf-8-sig", newline="") as stream:
        first = stream.readline()
        stream.seek(0)
        reader = csv.DictReader(stream, delimiter=";" if first.count(";") > first.count(",") else ",")
        names = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = names
        return names, [
            (reader.line_num, {key: (value or "").strip() for key, value in row.items() if key})
            for row in reader
        ]


def _parquet(table: Path) -> tuple[list[str], list[tuple[int, Row]]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "tables") from error
    content = parquet.read_table(table)  # pyarrow's errors are ValueError or OSError
    return list(content.column_names), [
        (line, {str(key): "" if value is None else str(value).strip() for key, value in row.items()})
        for line, row in enumerate(content.to_pylist(), 2)
    ]
