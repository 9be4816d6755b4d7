"""A table of named columns in a CSV or Parquet file: read with the place of every fault, written whole."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from monai_brain.errors import DataError, MissingExtraError
from monai_brain.files import whole, write_whole

PARQUET_MAGIC = b"PAR1"
FIRST_ROW = 2  # as a spreadsheet counts: the header is row 1


def read(path: Path) -> dict[str, list[Any]]:
    """The columns of a CSV or Parquet file, told apart by content, by name in the file's order.

    Cells of a CSV file are stripped strings; those of a Parquet file keep their types.

    Raises:
        DataError: The file is absent, no table, or its rows are ragged.
    """
    if not path.is_file():
        reason = "is not a regular file" if path.exists() else "does not exist"
        raise DataError(f"{path}: {reason}. Expected a predictions file, .csv or .parquet.")
    try:
        with path.open("rb") as stream:
            parquet = stream.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
        return _read_parquet(path) if parquet else _read_csv(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def write(columns: Mapping[str, Sequence[object]], path: Path) -> None:
    """Write columns of equal length to a CSV file, or to a Parquet file if it is named so."""
    if path.suffix.lower() == ".parquet":
        table = _pyarrow().table({name: list(values) for name, values in columns.items()})
        parquet = _pyarrow("pyarrow.parquet")
        write_whole(path, lambda stream: parquet.write_table(table, stream))
        return
    with whole(path) as stream:
        write_rows(stream, [list(columns)])
        write_rows(stream, zip(*columns.values(), strict=True))


def write_rows(stream: IO[str], rows: Iterable[Sequence[object]]) -> None:
    """Append rows to a CSV file: floats exactly (repr), booleans as true and false, None as empty."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _read_csv(path: Path) -> dict[str, list[Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(rows, [])]
            _check_header(path, header)
            cells: list[list[str]] = []
            for number, row in enumerate(rows, FIRST_ROW):
                if len(row) != len(header):
                    if not any(map(str.strip, row)):
                        continue  # an empty line at the end, as spreadsheets leave them
                    raise DataError(
                        f"{path}: row {number}: {len(row)} cells, but the header has {len(header)}."
                    )
                cells.append(row)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text ({error.reason}). Expected a .csv file.") from error
    except csv.Error as error:
        raise DataError(f"{path}: is no CSV file that can be read: {error}.") from error
    columns = zip(*cells, strict=True) if cells else ([] for _ in header)
    return {name: [cell.strip() for cell in column] for name, column in zip(header, columns, strict=True)}


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not any(header):
        raise DataError(f"{path}: is empty. Expected a header row with case, label and prob_<class>.")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise DataError(f"{path}: row 1: cells are separated by semicolons or tabs. Expected commas.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path}: row 1: column {twice[0]!r} stands twice.")


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    parquet = _pyarrow("pyarrow.parquet")
    try:
        table = parquet.read_table(path)
    except Exception as error:  # pyarrow raises many kinds on a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: is no Parquet file that can be read: {reason}") from error
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _pyarrow(module: str = "pyarrow") -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "tables") from error
