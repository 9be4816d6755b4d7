"""predictions.csv as Parquet, piece by piece, so that its size does not matter."""

from __future__ import annotations

import csv
from pathlib import Path

from monai_brain.errors import MissingExtraError
from monai_brain.evaluation.prediction_columns import LOGIT, NUMBERS, PROB
from monai_brain.files import whole


def to_parquet(source: Path, target: Path) -> Path:
    """Write a predictions.csv as a Parquet file with the same columns.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as arrow
        from pyarrow import csv as arrow_csv
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "tables") from error
    with source.open(encoding="utf-8", newline="") as stream:
        header = next(csv.reader(stream))
    kinds = {"schema_version": arrow.int64(), "abstain": arrow.bool_()}
    kinds |= {name: arrow.int64() for name in NUMBERS}
    types = {
        name: arrow.float64() if name.startswith((LOGIT, PROB)) else kinds.get(name, arrow.string())
        for name in header
    }
    options = arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    parsing = arrow_csv.ParseOptions(newlines_in_values=True)
    with (
        arrow_csv.open_csv(source, convert_options=options, parse_options=parsing) as pieces,
        whole(target, "wb") as output,
        parquet.ParquetWriter(output, pieces.schema) as writer,
    ):
        for piece in pieces:
            writer.write_batch(piece)
    return target
