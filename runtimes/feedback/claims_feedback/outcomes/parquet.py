"""Rows of Parquet files. The only module that needs pyarrow, which is 165 MB and not in the image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow  # type: ignore[import-untyped]
from pyarrow import parquet

from claims_feedback.outcomes.errors import CannotLoad
from claims_feedback.outcomes.files import Row, Table

BATCH_ROWS: Final = 10_000


def read(path: Path) -> Table:
    """Open a file; raise `CannotLoad` where it is none, also later, from the rows."""
    try:
        file = parquet.ParquetFile(path)
    except pyarrow.ArrowException as error:
        raise CannotLoad(f"{path} is no Parquet file: {error}.") from error
    return Table(columns=tuple(file.schema_arrow.names), rows=_rows(file, path))


def _rows(file: parquet.ParquetFile, path: Path) -> Iterator[Row]:
    number = 0
    with file:
        try:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                columns = [_coarsened(column) for column in batch.columns]
                for values in pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist():
                    number += 1
                    yield Row(place=f"row {number}", values=values)
        except pyarrow.ArrowException as error:
            raise CannotLoad(f"{path}, after row {number}: {error}.") from error


def _coarsened(column: pyarrow.Array) -> pyarrow.Array:
    """Return moments in microseconds; finer ones have no form in Python."""
    is_fine = pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns"
    return column.cast(pyarrow.timestamp("us", column.type.tz), safe=False) if is_fine else column
