"""A Parquet file as a table of numbers. The only module here that imports pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from mmal_ros.features.importers.errors import FeatureFileError, missing_columns
from mmal_ros.features.importers.text_table import Numbers

ROWS_AT_ONCE = 4096
"""About 8 MB of FACE."""
_DAMAGED = (pa.ArrowException, OSError, ValueError, MemoryError)


class ParquetTable:
    """The columns of a Parquet file; opening reads only its footer.

    Raises:
        FeatureFileError: here, or while rows are read; its line is the row, from 1.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with parquet.ParquetFile(path) as file:  # type: ignore[no-untyped-call]
                self._schema = file.schema_arrow
        except _DAMAGED as error:
            raise self._damaged(error) from error
        self.columns = list(self._schema.names)

    def require(self, names: Sequence[str]) -> None:
        """Raise unless every name is a column of numbers."""
        problem = missing_columns(names, self.columns)
        if problem:
            raise FeatureFileError(self.path, problem)
        for name in names:
            self._require_number(name)

    def numbers(self, names: Sequence[str]) -> Iterator[tuple[int, Numbers]]:
        """(row, numbers) of every row, in the order of the names; NaN where the file has none."""
        self.require(names)
        row = 0
        try:
            with parquet.ParquetFile(self.path) as file:  # type: ignore[no-untyped-call]
                for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(names)):
                    for numbers in _as_array(batch, names):
                        row += 1
                        yield row, numbers
        except _DAMAGED as error:
            raise self._damaged(error) from error
        if not row:
            raise FeatureFileError(self.path, "the table has no row")

    def _require_number(self, name: str) -> None:
        if self.columns.count(name) > 1:
            raise FeatureFileError(self.path, "the column is there more than once", column=name)
        kind = self._schema.field(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            raise FeatureFileError(self.path, f"found values of type {kind}, expected numbers", column=name)

    def _damaged(self, error: BaseException) -> FeatureFileError:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        return FeatureFileError(self.path, f"the Parquet file is damaged or not complete: {first_line}")


def _as_array(batch: pa.RecordBatch, names: Sequence[str]) -> Numbers:
    """(rows, columns)."""
    floats = [batch.column(name).cast(pa.float64(), safe=False) for name in names]
    columns = [column.to_numpy(zero_copy_only=False) for column in floats]  # null becomes NaN
    return np.stack(columns, axis=1)
