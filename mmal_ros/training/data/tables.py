"""Anybody's table of features: CSV or Parquet with a row a window, or NPZ arrays, and a YAML that names the columns.

`table_layout.TableLayout` describes the YAML. What else holds:

* A window is one row, T = 1. In an NPZ file the columns are arrays: (N,) for person, time, label and block; (N, D) or
  (N, T, D) for features, which are then called `<array>_0` and so on.
* Missing is an empty cell, NaN, null or a number listed under `missing`; `data.missing` says what becomes of it.
  Infinity is an error, and so is a missing time or label.
* A label that the YAML does not name is an error, with the row; one that leads to null leaves its row out.
* Rows need not stand in the order of time: they are sorted within person and block, and `repairs` says so. Two rows of
  a person and block at the same time are an error.
* A block ends where the next row is later than `gap_s` and three usual steps (the median step of the whole table).
* A person with a single class stays in, and `repairs` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import Modality
from mmal_ros.training.data.arrays import read_arrays
from mmal_ros.training.data.columns import Columns, column_names, read_columns
from mmal_ros.training.data.errors import meant
from mmal_ros.training.data.missing import Values
from mmal_ros.training.data.rows import Rows, assemble, one_class_only
from mmal_ros.training.data.table_layout import TableLayout, read_layout
from mmal_ros.training.people import DataError, DataSet

FILES = (".csv", ".parquet", ".pq", ".npz")
USUAL_STEPS = 3
"""A row that follows later than after so many usual steps (and than `gap_s`) begins another block."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What was read: keys as words, features as numbers."""

    keys: Columns
    """Person, label, perhaps block; its numbers are the time."""
    features: dict[Modality, tuple[str, ...]]
    values: dict[Modality, Values]
    """(N, T, D)."""


def load(path: Path) -> DataSet:
    """The data set that a YAML describes; raises DataError naming file, line and column."""
    layout = read_layout(path)
    if not layout.file.isprintable():
        raise DataError(f"{path}: file: no file is called {layout.file!r}")
    file = path.parent / layout.file
    if file.suffix not in FILES:
        raise DataError(f"{path}: file: '{layout.file}' is not of a kind that is read: {', '.join(FILES)}")
    table = _of_arrays(layout, file) if file.suffix == ".npz" else _of_columns(layout, path, file)
    rows, left_out = _rows(layout, table)
    break_s = max(layout.gap_s, USUAL_STEPS * _usual_step_s(rows))
    people, mended = assemble(rows, table.features, break_s)
    dropped = (f"{left_out} rows whose label leads to null were left out",) if left_out else ()
    repairs = (*dropped, *mended, *one_class_only(people, layout.classes))
    return DataSet(
        layout.name,
        layout.source,
        tuple(layout.classes),
        table.features,
        people,
        layout.gap_s,
        repairs,
        feature_sets=layout.feature_sets,
    )


def _keys(layout: TableLayout) -> list[str]:
    return [layout.person, layout.label, *([layout.block] if layout.block else [])]


def _of_columns(layout: TableLayout, path: Path, file: Path) -> Table:
    there = column_names(file)
    used = {*_keys(layout), layout.time}
    features = _matched(layout, path, [name for name in there if name not in used])
    names = [name for some in features.values() for name in some]
    columns = read_columns(file, _keys(layout), [layout.time, *names])
    sizes = np.cumsum([1, *(len(some) for some in features.values())])[:-1]
    parts = np.split(columns.numbers, sizes, axis=1)
    values = {modality: part[:, np.newaxis] for modality, part in zip(features, parts[1:], strict=True)}
    return Table(Columns(file, columns.lines, columns.words, parts[0]), features, values)


def _of_arrays(layout: TableLayout, file: Path) -> Table:
    arrays = read_arrays(file)
    keys = arrays.keys(_keys(layout), layout.time)
    used = {*_keys(layout), layout.time}
    matched = _matched(layout, file, [name for name in arrays.names if name not in used])
    blocks = {
        modality: [arrays.windows(name, len(keys.lines)) for name in names] for modality, names in matched.items()
    }
    features = {
        modality: tuple(
            f"{name}_{i}" for name, block in zip(matched[modality], some, strict=True) for i in _width(block)
        )
        for modality, some in blocks.items()
    }
    return Table(
        keys, features, {modality: arrays.joined(matched[modality], some) for modality, some in blocks.items()}
    )


def _width(block: Values) -> range:
    return range(block.shape[2])


def _matched(layout: TableLayout, path: Path, there: Sequence[str]) -> dict[Modality, tuple[str, ...]]:
    """The columns of each modality, in the order of `Modality` and of the patterns; raises DataError."""
    owners: dict[str, Modality] = {}
    for modality in filter(layout.modalities.__contains__, Modality):
        for pattern in layout.modalities[modality]:
            found = [name for name in there if fnmatchcase(name, pattern)]
            if not found:
                raise DataError(f"{path}: {modality}: no column is called '{pattern}'; {_near(pattern, there)}")
            for name in found:
                if owners.setdefault(name, modality) is not modality:
                    raise DataError(f"{path}: column '{name}' is both of {owners[name]} and of {modality}")
    return {m: tuple(name for name, owner in owners.items() if owner is m) for m in Modality if m in layout.modalities}


def _near(pattern: str, there: Sequence[str]) -> str:
    few = there if len(there) <= 20 else [*there[:20], f"... ({len(there)} in all)"]
    guess = meant(pattern, there).partition("; did")
    return f"there is {', '.join(few) or 'nothing'}{guess[1]}{guess[2]}"


def _rows(layout: TableLayout, table: Table) -> tuple[Rows, int]:
    """The rows with a class, and how many have none; raises DataError."""
    keys = table.keys
    labels = keys.parsed(layout.label, _class_of(layout), f"a label of the YAML; {meant('', map(str, layout.labels))}")
    kept = np.flatnonzero(labels >= 0)
    if not len(kept):
        raise DataError(f"{keys.path}: every label leads to null; no row is left")
    people, block = keys.words[layout.person], keys.words[layout.block] if layout.block else None
    nobody = next((row for row in kept if not people[row]), None)
    if nobody is not None:
        raise keys.error(int(keys.lines[nobody]), layout.person, "there is no code of a person")
    values = {modality: _with_gaps(part[kept], layout.missing) for modality, part in table.values.items()}
    rows = Rows(
        where=str(keys.path),
        lines=keys.lines[kept],
        people=[people[row] for row in kept],
        stretches=[block[row] if block else "" for row in kept],
        times_s=keys.numbers[kept, 0],
        labels=labels[kept].astype(np.int64),
        values=values,
    )
    return rows, len(labels) - len(kept)


def _class_of(layout: TableLayout) -> Callable[[str], float]:
    def parse(word: str) -> float:
        try:
            label = layout.class_of(word)
        except KeyError as error:
            raise ValueError(word) from error
        return -1 if label is None else label

    return parse


def _with_gaps(values: Values, codes: Sequence[float]) -> Values:
    values[np.isin(values, codes)] = np.nan
    return values


def _usual_step_s(rows: Rows) -> float:
    """The median step in time between rows of a person and block, in the order of time; 0 if there are no two."""
    stretch = np.unique(
        [f"{person}\0{name}" for person, name in zip(rows.people, rows.stretches, strict=True)], return_inverse=True
    )[1]
    order = np.lexsort((rows.times_s, stretch))
    steps = np.diff(rows.times_s[order])[np.diff(stretch[order]) == 0]
    return float(np.median(steps)) if len(steps) else 0.0
