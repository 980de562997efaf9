"""Strict parsers of the CSV files of an E4 export.

Line 1 is the start (seconds since the epoch, UTC), line 2 the rate, one column per axis; `IBI.csv` has pairs of
offset and interval below its start, `tags.csv` only times. What is not exactly so is refused, with the place.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray
from mmal_ros.sensors.source import SourceError

ACC_UNITS_PER_G = 64
EARLIEST_S, LATEST_S = 1.0e9, 4.1e9
"""The years 2001 to 2099: outside a time is not in seconds since the epoch."""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """One stream of a recording."""

    source: str
    rate_hz: float
    start_ns: int
    times_ns: NDArray[np.int64]
    """(n,) rising."""
    values: FloatArray
    """(n,) or (n, 3), in the units of `Sample`, read-only."""

    def moved(self, by_ns: int) -> Recorded:
        """The same stream at another time."""
        return replace(self, start_ns=self.start_ns + by_ns, times_ns=self.times_ns + by_ns)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a column of a file holds."""

    unit: str
    lowest: float
    highest: float
    whole: bool = False
    """Only whole numbers."""


TIME = Layout("s since 1970 (UTC)", EARLIEST_S, LATEST_S)
ACC = Layout("1/64 g, whole numbers", -128, 127, whole=True)
"""8 bits per axis."""
BVP = Layout("blood volume pulse", -1e5, 1e5)
"""Arbitrary unit; some thousands in the wildest movement."""
EDA = Layout("µS", 0, 100)
TEMPERATURE = Layout("°C", -40, 60)
"""Lower end of the E4's thermometer; 60 leaves room for a band in the sun and not for Fahrenheit or Kelvin."""
OFFSET = Layout("s after the start", 0, 7 * 24 * 3600.0)
INTERVAL = Layout("s between beats", 0.2, 3.0)
"""20 to 300 beats a minute."""


def parse_signal(content: bytes, file: str, source: str, rate_hz: float, layout: Layout, columns: int = 1) -> Recorded:
    """ACC, BVP, EDA or TEMP.csv.

    Raises:
        SourceError: naming file, line, column, what was found and what was expected.
    """
    lines = _lines(content, file)
    if len(lines) < 3:
        raise SourceError(f"{file} has {len(lines)} lines; expected a start time, a rate of {rate_hz:g} and values")
    start_ns = _start(lines[0], file, columns)
    for column, rate in enumerate(_row(lines[1], file, 2, columns, "rate in Hz")):
        if rate != rate_hz:
            raise _refusal(file, 2, column, f"{rate:g}", f"a rate of {rate_hz:g} Hz")
    values = _table(lines, 2, file, [layout] * columns)
    if source == "acc":
        values = values / ACC_UNITS_PER_G
    period_ns = NANOSECONDS_PER_SECOND / rate_hz
    times_ns = start_ns + np.rint(np.arange(len(values)) * period_ns).astype(np.int64)
    return _recorded(source, rate_hz, start_ns, times_ns, values if columns > 1 else values[:, 0])


def parse_intervals(content: bytes, file: str) -> Recorded:
    """IBI.csv; an empty file is a recording without a single clean beat."""
    lines = _lines(content, file)
    if not lines:
        return _recorded("ibi", 0.0, 0, np.empty(0, np.int64), ())
    first, _, title = lines[0].partition(",")
    if title.strip() != "IBI":
        raise _refusal(file, 1, 1, title.strip() or "nothing", "the word IBI")
    start_ns = _start(first, file, 1)
    table = _table(lines, 1, file, [OFFSET, INTERVAL])
    _check_rising(table[:, 0], file, 2)
    return _recorded("ibi", 0.0, start_ns, start_ns + _nanoseconds(table[:, 0]), table[:, 1])


def parse_tags(content: bytes, file: str) -> Recorded:
    """tags.csv; usually empty: nobody pressed the button."""
    times = _table(_lines(content, file), 0, file, [TIME])[:, 0]
    _check_rising(times, file, 1)
    times_ns = _nanoseconds(times)
    return _recorded("tag", 0.0, int(times_ns[0]) if len(times) else 0, times_ns, np.ones(len(times)))


PARSERS: dict[str, Callable[[bytes, str], Recorded]] = {
    "ACC.csv": partial(parse_signal, source="acc", rate_hz=32.0, layout=ACC, columns=3),
    "BVP.csv": partial(parse_signal, source="bvp", rate_hz=64.0, layout=BVP),
    "EDA.csv": partial(parse_signal, source="eda", rate_hz=4.0, layout=EDA),
    "TEMP.csv": partial(parse_signal, source="temperature", rate_hz=4.0, layout=TEMPERATURE),
    "IBI.csv": parse_intervals,
    "tags.csv": parse_tags,
}
"""How each file of an export is read: (content, name for messages) -> `Recorded`."""


def _recorded(source: str, rate_hz: float, start_ns: int, times_ns: NDArray[np.int64], values: object) -> Recorded:
    frozen = np.array(values, np.float32)
    frozen.flags.writeable = False
    return Recorded(source, rate_hz, start_ns, times_ns, frozen)


def _nanoseconds(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """To the microsecond, which is what a double can hold of the seconds since the epoch."""
    microseconds: NDArray[np.int64] = np.rint(seconds * 1e6).astype(np.int64)
    return microseconds * 1000


def _lines(content: bytes, file: str) -> list[str]:
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SourceError(f"{file} is no text file (byte {error.start}); expected the CSV of an E4") from error


def _start(line: str, file: str, columns: int) -> int:
    times = _row(line, file, 1, columns, f"start time in {TIME.unit}")
    for column, time in enumerate(times):
        if not EARLIEST_S <= time <= LATEST_S or time != times[0]:
            raise _refusal(file, 1, column, f"{time:g}", f"one start time in {TIME.unit}")
    return int(_nanoseconds(np.array(times[0])))


def _row(line: str, file: str, number: int, columns: int, expected: str) -> list[float]:
    cells = line.split(",")
    if len(cells) != columns:
        raise _refusal(file, number, min(len(cells), columns), f"{len(cells)} columns", f"{columns}: {expected}")
    return [_number(cell, file, number, column, expected) for column, cell in enumerate(cells)]


def _number(cell: str, file: str, line: int, column: int, expected: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _refusal(file, line, column, repr(cell.strip()[:40]), expected)
    return number


def _table(lines: Sequence[str], skip: int, file: str, layouts: Sequence[Layout]) -> NDArray[np.float64]:
    """(n, columns) of the lines after the first `skip`. NumPy reads; only a refusal goes through line by line."""
    body = lines[skip:]
    if not body:
        return np.empty((0, len(layouts)))
    if not any(line.strip() for line in body):  # NumPy would only warn
        _refuse_table(body, skip, file, layouts)
    try:
        table = np.loadtxt(io.StringIO("\n".join(body)), np.float64, comments=None, delimiter=",", ndmin=2)
    except ValueError:
        table = np.empty((0, 0))
    if table.shape != (len(body), len(layouts)) or not _fits(table, layouts):
        _refuse_table(body, skip, file, layouts)
    return table


def _fits(table: NDArray[np.float64], layouts: Sequence[Layout]) -> bool:
    return all(
        bool(np.all((column >= layout.lowest) & (column <= layout.highest)))
        and (not layout.whole or bool(np.all(column == np.rint(column))))
        for column, layout in zip(table.T, layouts, strict=True)
    )


def _refuse_table(body: Sequence[str], skip: int, file: str, layouts: Sequence[Layout]) -> None:
    """Raise for the first cell that does not fit."""
    expected = ", ".join(layout.unit for layout in layouts)
    for number, line in enumerate(body, skip + 1):
        for column, (value, layout) in enumerate(
            zip(_row(line, file, number, len(layouts), expected), layouts, strict=True)
        ):
            if not layout.lowest <= value <= layout.highest or (layout.whole and value != round(value)):
                span = f"{layout.unit} from {layout.lowest:g} to {layout.highest:g}"
                raise _refusal(file, number, column, f"{value:g}", span)
    raise SourceError(f"{file} cannot be read as a table of {expected}")


def _check_rising(times: NDArray[np.float64], file: str, first_line: int) -> None:
    falls = np.flatnonzero(np.diff(times) <= 0)
    if len(falls):
        row = int(falls[0]) + 1
        raise _refusal(file, first_line + row, 0, f"{times[row]:g}", f"a time after {times[row - 1]:g}")


def _refusal(file: str, line: int, column: int, found: str, expected: str) -> SourceError:
    """Columns count from 0 here and from 1 for people."""
    return SourceError(
        f"{file}, line {line}, column {column + 1}: found {found}, expected {expected}. "
        "Is it the file of another tool, or edited? An E4 export is read as it was downloaded."
    )
