"""A CSV file read strictly and line by line: whatever is wrong is an error with its line and column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmal_ros.features.importers.errors import FeatureFileError, missing_columns, shown
from mmal_ros.features.importers.recognise import Kind, hint
from mmal_ros.wording import why

LONGEST_LINE = 1 << 20
"""Characters. OpenFace's longest lines have 6,000; a longer one than this is no table."""
MISSING = frozenset({"", "nan", "-nan", "-nan(ind)", "nan(ind)", "na", "n/a", "null", "none"})
"""How tools write "no number", in lower case; `-nan(ind)` is OpenFace's on Windows (its issue 301)."""
_TRUTH = {"true": 1.0, "false": 0.0}

Numbers = NDArray[np.float64]


class TextTable:
    """A table with a header line. Opening reads the header; `cells` and `numbers` read the rows, each time anew.

    Args:
        path: the file, in UTF-8.
        delimiter: one character between the columns.
        expected: what the file should be; another tool's file is named in the error.
        note: what to do about missing columns, at the end of that error if the file is of no other tool.

    Raises:
        FeatureFileError: here, or while rows are read.
    """

    def __init__(self, path: Path, delimiter: str = ",", *, expected: Kind | None = None, note: str = "") -> None:
        self.path = path
        self._delimiter = delimiter
        self._expected = (expected,) if expected else ()
        self._note = note
        with self._opened() as file:
            header = next(self._parsed(file), None)
        if header is None:
            raise FeatureFileError(path, "the file is empty, expected a header line")
        self.columns = [name.strip() for name in header[1]]
        self._position = {name: at for at, name in enumerate(self.columns)}
        self._refuse_doubles()

    def require(self, names: Sequence[str]) -> None:
        """Raise unless every name is a column."""
        problem = missing_columns(names, self.columns)
        if problem:
            self._refuse_other_delimiter()
            raise self._error(problem, line=1, note=self._note)

    def cells(self) -> Iterator[tuple[int, list[str]]]:
        """(line, all cells) of every row, one cell for every column."""
        with self._opened() as file:
            rows = self._parsed(file)
            next(rows, None)
            line = 0
            for line, cells in rows:
                if len(cells) != len(self.columns):
                    raise self._ragged(line, len(cells))
                yield line, cells
        if not line:
            raise self._error("there is a header and no row", line=1)

    def numbers(self, names: Sequence[str]) -> Iterator[tuple[int, Numbers]]:
        """(line, numbers) of every row, in the order of the names; NaN where the file says that there is none."""
        parse = self.parser(names)
        return ((line, parse(line, cells)) for line, cells in self.cells())

    def parser(self, names: Sequence[str]) -> Callable[[int, list[str]], Numbers]:
        """A function of (line, all cells) that returns the numbers of these columns."""
        self.require(names)
        pick = itemgetter(*(self._position[name] for name in names), 0)  # one more: a tuple for one name too

        def parse(line: int, cells: list[str]) -> Numbers:
            picked = pick(cells)[:-1]
            try:
                if "_" in "".join(picked):  # Python reads 1_0 as 10
                    raise ValueError
                return np.fromiter(map(float, picked), np.float64, len(picked))
            except ValueError:
                return np.array([self._number(*cell, line) for cell in zip(names, picked, strict=True)])

        return parse

    def _number(self, column: str, cell: str, line: int) -> float:
        word = cell.strip().lower()
        if word in MISSING:
            return float("nan")
        try:
            return _TRUTH[word] if word in _TRUTH else float(word.replace("_", "?"))
        except ValueError:
            problem = f"found {shown(cell.strip())}, expected a number such as 0.25"
            raise FeatureFileError(self.path, problem, line=line, column=column) from None

    def _opened(self) -> TextIOWrapper:
        try:
            return self.path.open(encoding="utf-8-sig", newline="")
        except OSError as error:
            raise FeatureFileError(self.path, f"cannot be opened: {why(error)}") from error

    def _parsed(self, file: TextIOWrapper) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of every line that is not empty, the header first."""
        reader = csv.reader(self._bounded(file), delimiter=self._delimiter, strict=True, skipinitialspace=True)
        try:
            yield from ((reader.line_num, cells) for cells in reader if cells)
        except UnicodeDecodeError as error:
            raise self._error("this is no text in UTF-8", line=reader.line_num + 1) from error
        except csv.Error as error:
            raise self._error(f"this is no CSV: {error}", line=reader.line_num + 1) from error
        except OSError as error:
            raise self._error(f"cannot be read: {why(error)}", line=reader.line_num + 1) from error

    def _bounded(self, file: TextIOWrapper) -> Iterator[str]:
        """The lines; without this, a gigabyte without a line end would be one."""
        line = 0
        while text := file.readline(LONGEST_LINE + 1):
            line += 1
            if len(text) > LONGEST_LINE:
                raise self._error(f"the line is longer than {LONGEST_LINE:,} characters: this is no table", line=line)
            yield text

    def _refuse_other_delimiter(self) -> None:
        other = next((mark for mark in ",;\t" if mark in self.columns[0]), None)
        if len(self.columns) == 1 and other:
            raise self._error(f"the columns are separated by {other!r}, expected {self._delimiter!r}", line=1)

    def _refuse_doubles(self) -> None:
        if len(self._position) < len(self.columns):
            double = next(name for at, name in enumerate(self.columns) if self._position[name] != at)
            raise self._error(f"the header names {shown(double)} more than once", line=1)

    def _ragged(self, line: int, found: int) -> FeatureFileError:
        problem = f"found {found} cells, expected {len(self.columns)} as in the header"
        return FeatureFileError(self.path, f"{problem}; a last line that was cut off can be deleted", line=line)

    def _error(self, problem: str, line: int, note: str = "") -> FeatureFileError:
        other_tool = hint(self.path, *self._expected)
        sentence = other_tool + problem[0].upper() + problem[1:] if other_tool else problem + note
        return FeatureFileError(self.path, sentence, line=line)
