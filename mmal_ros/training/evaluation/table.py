"""The results of a grid on disk: one Parquet file per finished cell, so that nothing finished is lost or done twice.

    <folder>/settings.json               the settings and the hash of the data that all rows belong to
    <folder>/<person>-<seed>.parquet     the rows of one cell, written as a whole or not at all

Appending to one Parquet file is not possible; a folder of parts is what every reader of Parquet takes for one table.
Only the process that hands out the cells writes, so workers on other machines need not see the folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmal_ros.files import private_folder, replacing, write_atomically
from mmal_ros.training.evaluation.settings import COLUMNS, KEY, Cell, Row, Settings

SETTINGS_NAME = "settings.json"
COMMIT_KEY = b"commit"


class TableError(ValueError):
    """The folder holds other results, or rows are not what a cell has to give; the message says what differs."""


class ResultsTable:
    """The finished cells in a folder."""

    def __init__(self, folder: Path, settings: Settings, data_hash: str) -> None:
        """Open the folder, or make it; raises TableError when its results are of other settings or other data."""
        self.folder = folder
        private_folder(folder)
        wanted = {**settings.science(), "data_hash": data_hash}
        path = folder / SETTINGS_NAME
        if path.is_file():
            _refuse_differences(path, wanted)
        else:
            write_atomically(path, json.dumps(wanted, indent=1) + "\n")

    def has(self, cell: Cell) -> bool:
        """Whether the cell is finished."""
        return self._path(cell).is_file()

    def write(self, cell: Cell, rows: Sequence[Row], commit: str = "") -> None:
        """Keep the rows of a finished cell and the code they are from; raises TableError when they are not right."""
        _check(cell, rows)
        table = pa.Table.from_pylist(list(rows)).replace_schema_metadata({COMMIT_KEY: commit.encode()})
        with replacing(self._path(cell)) as scratch:
            pq.write_table(table, scratch)

    def read(self, cells: Sequence[Cell]) -> pa.Table:
        """The rows of these finished cells as one table, in the order of the cells."""
        parts = [pq.read_table(self._path(cell)).replace_schema_metadata(None) for cell in cells]
        return pa.concat_tables(parts, promote_options="permissive")

    def commits(self, cells: Sequence[Cell]) -> list[str]:
        """Which versions of the code computed these cells."""
        found = [(pq.read_schema(self._path(cell)).metadata or {}).get(COMMIT_KEY, b"") for cell in cells]
        return sorted({commit.decode() for commit in found})

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{quote(cell.person, safe='')}-{cell.seed}.parquet"


def write_table(table: pa.Table, path: Path) -> pd.DataFrame:
    """Write all rows into one file, whole or not at all; returns them."""
    with replacing(path) as scratch:
        pq.write_table(table, scratch)
    return table.to_pandas()


def _refuse_differences(path: Path, wanted: dict[str, Any]) -> None:
    found = json.loads(path.read_text())
    different = [
        f"{name} {json.dumps(found.get(name))} (now {json.dumps(wanted.get(name))})"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    if different:
        raise TableError(
            f"{path.parent} holds results of another grid: {'; '.join(different)}. Choose another --output, or delete "
            "that folder; only people and seeds can be added to a grid"
        )


def _check(cell: Cell, rows: Sequence[Row]) -> None:
    if not rows:
        raise TableError(f"{cell}: the cell gave no rows")
    for row in rows:
        for name, kind in COLUMNS.items():
            wrong = name not in row or not isinstance(row[name], (float, int) if kind is float else kind)
            if wrong:
                raise TableError(f"{cell}: column '{name}' is {row.get(name, 'missing')!r}, expected {kind.__name__}")
        if (row["person"], row["seed"]) != (cell.person, cell.seed):
            raise TableError(f"{cell}: a row is of person '{row['person']}', seed {row['seed']}")
    keys = [tuple(row[name] for name in KEY) for row in rows]
    doubled = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()
    if doubled:
        raise TableError(f"{cell}: two rows have {dict(zip(KEY, sorted(doubled)[0], strict=True))}")
