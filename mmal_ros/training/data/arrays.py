"""Arrays out of an NPZ file: keys (N,), features (N, D) or (N, T, D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.features.importers.errors import missing_columns
from mmal_ros.npz import NpzError, read_npz
from mmal_ros.training.data.columns import Columns
from mmal_ros.training.data.missing import Values, beyond
from mmal_ros.training.people import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """The content of an NPZ file."""

    path: Path
    content: dict[str, NDArray[Any]]

    @property
    def names(self) -> list[str]:
        """What the arrays are called."""
        return list(self.content)

    def keys(self, words: Sequence[str], time: str) -> Columns:
        """Arrays (N,) as words, and one as numbers; raises DataError."""
        problem = missing_columns([*words, time], self.names)
        if problem:
            raise DataError(f"{self.path}: {problem.replace('columns', 'arrays')}")
        count = self.content[time].size
        for name in (*words, time):
            if self.content[name].shape != (count,):
                raise DataError(f"{self.path}: array '{name}' is {self.content[name].shape}, '{time}' {(count,)}")
        times_s = self._numbers(time)[:, np.newaxis]
        lists = {name: [str(value).strip() for value in self.content[name].tolist()] for name in words}
        return Columns(self.path, np.arange(1, count + 1), lists, times_s)

    def windows(self, name: str, count: int) -> Values:
        """Features (N, T, D) of N = `count` windows; raises DataError."""
        values = self._numbers(name)
        values = values[:, np.newaxis] if values.ndim == 2 else values
        if values.ndim != 3 or len(values) != count:
            shape = self.content[name].shape
            raise DataError(f"{self.path}: array '{name}' is {shape}, expected ({count}, D) or ({count}, T, D)")
        found = np.argwhere(beyond(values))
        if len(found):
            at = tuple(found[0])
            problem = f"found {values[at]:g}, expected a finite number of single precision"
            raise DataError(f"{self.path}, row {at[0] + 1}, array '{name}': {problem}")
        return values

    def joined(self, names: Sequence[str], blocks: Sequence[Values]) -> Values:
        """The features of several arrays side by side; raises DataError."""
        steps = {block.shape[1] for block in blocks}
        if len(steps) > 1:
            raise DataError(f"{self.path}: arrays {', '.join(names)} have {sorted(steps)} steps; expected one number")
        return np.concatenate(blocks, axis=2)

    def _numbers(self, name: str) -> Values:
        if self.content[name].dtype.kind not in "fiub":
            raise DataError(f"{self.path}: array '{name}' holds {self.content[name].dtype}, expected numbers")
        return self.content[name].astype(np.float64)


def read_arrays(path: Path) -> Arrays:
    """Read an NPZ file; raises DataError."""
    try:
        return Arrays(path, read_npz(path))
    except NpzError as error:
        raise DataError(f"{path} is no NPZ file of arrays, or not a whole one: {error}") from error
