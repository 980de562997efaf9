"""Columns out of a CSV or Parquet file: words and numbers, each row with its line for messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from mmal_ros.features.importers.errors import missing_columns
from mmal_ros.features.importers.parquet import ParquetTable
from mmal_ros.features.importers.text_table import Numbers, TextTable
from mmal_ros.training.data.errors import as_data_error
from mmal_ros.training.data.missing import beyond
from mmal_ros.training.people import DataError

PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """N rows of a file."""

    path: Path
    lines: NDArray[np.int64]
    """(N,) line in a text file, row from 1 in a Parquet file."""
    words: dict[str, list[str]]
    """N words per column, without spaces around."""
    numbers: Numbers
    """(N, k), NaN where there is none."""

    def parsed(self, name: str, parse: Callable[[str], float], expected: str) -> Numbers:
        """(N,) numbers of a column of words; `parse` raises ValueError, which becomes DataError with the line."""
        values = []
        for line, word in zip(self.lines.tolist(), self.words[name], strict=True):
            try:
                values.append(parse(word))
            except ValueError as error:
                raise self.error(line, name, f"found '{word}', expected {expected}") from error
        return np.array(values, np.float64)

    def error(self, line: int, column: str, problem: str) -> DataError:
        """An error in one cell."""
        return DataError(f"{self.path}, line {line}, column '{column}': {problem}")


def column_names(path: Path) -> list[str]:
    """The names in the header; raises DataError."""
    with as_data_error():
        return ParquetTable(path).columns if path.suffix in PARQUET else TextTable(path).columns


def read_columns(path: Path, words: Sequence[str], numbers: Sequence[str]) -> Columns:
    """Read these columns; a column may be read both as words and as numbers.

    Raises:
        DataError: the file cannot be read, a column is missing, a row has too few cells, a number is none or is
            infinite or beyond single precision; names line and column.
    """
    with as_data_error():
        columns = (_from_parquet if path.suffix in PARQUET else _from_text)(path, list(words), list(numbers))
    found = np.argwhere(beyond(columns.numbers))
    if len(found):
        row, column = found[0].tolist()
        problem = f"found {columns.numbers[row, column]:g}, expected a finite number of single precision"
        raise columns.error(int(columns.lines[row]), numbers[column], problem)
    return columns


def _from_text(path: Path, words: list[str], numbers: list[str]) -> Columns:
    table = TextTable(path)
    table.require([*words, *numbers])
    parse = table.parser(numbers)
    at = [table.columns.index(name) for name in words]
    lines: list[int] = []
    texts: list[list[str]] = []
    rows: list[Numbers] = []
    for line, cells in table.cells():
        lines.append(line)
        texts.append([cells[index].strip() for index in at])
        rows.append(parse(line, cells))
    by_column = zip(words, map(list, zip(*texts, strict=True)), strict=True)
    return Columns(path, np.array(lines), dict(by_column), np.stack(rows))


def _from_parquet(path: Path, words: list[str], numbers: list[str]) -> Columns:
    table = ParquetTable(path)
    problem = missing_columns([*words, *numbers], table.columns)
    if problem:
        raise DataError(f"{path}: {problem}")
    rows = np.stack([row for _, row in table.numbers(numbers)])
    texts = {name: _texts(path, name) for name in words}
    return Columns(path, np.arange(1, len(rows) + 1), texts, rows)


def _texts(path: Path, name: str) -> list[str]:
    column = parquet.read_table(path, columns=[name]).column(name)  # type: ignore[no-untyped-call]
    return ["" if value is None else str(value).strip() for value in column.cast(pa.string()).to_pylist()]
