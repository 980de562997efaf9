"""openSMILE: CSV of eGeMAPSv02 low-level descriptors, every 10 ms, averaged to the 100 ms of the live extractor.

Two forms are read: `name;frameTime;…` of `SMILExtract -C egemaps/v02/eGeMAPSv02.conf -lldcsvoutput`, and `file,start,
end,…` or `start,end,…` of the Python package, saved with `to_csv`.

Live, a descriptor belongs to the step in which it becomes known (`mmal_ros.features.audio_steps`). A file tells only
when it began. openSMILE gives it out 80 ms later at the earliest, which is taken here: in noise and silence that is
exact. In speech the pitch tracker waits: 47 % came then, 46 % 10 ms later, the rest up to 90 ms later (2,613 frames of
espeak-ng and GRID clips), so there a step of an import differs from the live one by a descriptor at its border.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import STEP_NS, FeatureFrame, Modality
from mmal_ros.features.audio_steps import GAP_NS, HOP_VALUES, VALUE_NS
from mmal_ros.features.importers.errors import FeatureFileError, shown
from mmal_ros.features.importers.recognise import OPENSMILE
from mmal_ros.features.importers.rows import RowReader
from mmal_ros.features.importers.text_table import TextTable
from mmal_ros.features.names import AUDIO_OPENSMILE
from mmal_ros.wording import why

FEATURE_SET = "opensmile-egemaps"
HOP_NS = HOP_VALUES * VALUE_NS
KNOWN_AFTER_NS = 8 * HOP_NS - VALUE_NS
"""From the begin of a descriptor to the last value of the sound that openSMILE needs before it gives it out: a frame of
60 ms and two hops for smoothing (measured with opensmile 2.6.0)."""
HOP_TOLERANCE_NS = 1_000_000
"""Times are written with microseconds, or rounded to milliseconds by spreadsheets."""
REMEDY = "; make low-level descriptors of eGeMAPSv02: SMILExtract -lldcsvoutput, or opensmile with feature_level='lld'"

_TIMEDELTA = re.compile(r"(\d{1,5}) days? (\d\d?):(\d\d):(\d\d(?:\.\d+)?)")
_TIME_COLUMNS = ("frameTime", "start")
_RECORDING_COLUMNS = ("file", "name")


def read_opensmile(path: Path, start_ns: int) -> Iterator[FeatureFrame]:
    """One frame per step of 100 ms: the mean of the descriptors that became known in it.

    The frame of stamp E (a multiple of 100 ms since the epoch) averages what became known in (E - 100 ms, E], as the
    live extractor does. Steps without descriptors have no frame, a last step that is not over has none either. All
    frames are valid with confidence 1: the file does not tell silence from a dead microphone.

    Args:
        path: the CSV.
        start_ns: stamp of the first value of the sound.

    Yields:
        Frames of `opensmile-egemaps` in the order of time.

    Raises:
        FeatureFileError: at once for the header, while iterating for the rows, with line and column.
    """
    table = TextTable(path, _delimiter(path), expected=OPENSMILE, note=REMEDY)
    table.require(AUDIO_OPENSMILE)
    return _steps(_descriptors(table, start_ns))


def _delimiter(path: Path) -> str:
    """SMILExtract separates by semicolons, pandas by commas; no name of a column contains either."""
    try:
        with path.open("rb") as file:
            return ";" if b";" in file.readline(1 << 16) else ","
    except OSError as error:
        raise FeatureFileError(path, f"cannot be opened: {why(error)}") from error


def _steps(descriptors: Iterator[FeatureFrame]) -> Iterator[FeatureFrame]:
    """Means over the steps of frames that are stamped with when they became known."""
    gathered: list[FeatureFrame] = []
    for frame in descriptors:
        if gathered and _step_end(frame) > _step_end(gathered[0]):
            yield _mean(gathered)
            gathered = []
        gathered.append(frame)
    if gathered and gathered[-1].stamp_ns + HOP_NS > _step_end(gathered[0]):
        yield _mean(gathered)


def _step_end(frame: FeatureFrame) -> int:
    return -(-frame.stamp_ns // STEP_NS) * STEP_NS


def _mean(frames: list[FeatureFrame]) -> FeatureFrame:
    mean = np.mean([frame.values for frame in frames], axis=0, dtype=np.float64).astype(np.float32)
    return FeatureFrame(Modality.AUDIO, _step_end(frames[0]), mean, True, 1.0, FEATURE_SET)


def _descriptors(table: TextTable, start_ns: int) -> Iterator[FeatureFrame]:
    """Every descriptor frame, stamped with when it became known."""
    rows = RowReader(table.path, Modality.AUDIO, FEATURE_SET, AUDIO_OPENSMILE, start_ns + KNOWN_AFTER_NS)
    time_column = next((name for name in _TIME_COLUMNS if name in table.columns), None)
    if time_column is None:
        raise FeatureFileError(table.path, "there is no column `frameTime` or `start`, so no time", line=1)
    time_at, parse, previous_ns = table.columns.index(time_column), table.parser(AUDIO_OPENSMILE), None
    for line, cells in _of_one_recording(table):
        seconds = _seconds(cells[time_at])
        if seconds is None:
            raise rows.error(f"found {shown(cells[time_at])}, expected seconds or a time of pandas", line, time_column)
        stamp_ns = rows.stamp(seconds, line, time_column)
        if previous_ns is not None:
            _require_hop(stamp_ns - previous_ns, rows, line, time_column)
        previous_ns = stamp_ns
        yield rows.frame(stamp_ns, parse(line, cells), valid=True, confidence=1.0, line=line)


def _require_hop(step_ns: int, rows: RowReader, line: int, column: str) -> None:
    """One hop, or a gap between two segments of the sound."""
    if abs(step_ns - HOP_NS) > HOP_TOLERANCE_NS and step_ns <= GAP_NS:
        raise rows.error(f"{step_ns / 1e6:g} ms after the row before, expected 10 ms{REMEDY}", line, column)


def _of_one_recording(table: TextTable) -> Iterator[tuple[int, list[str]]]:
    column = next((name for name in _RECORDING_COLUMNS if name in table.columns), None)
    at = table.columns.index(column) if column else None
    first = None
    for line, cells in table.cells():
        if at is not None:
            first = cells[at] if first is None else first
            if cells[at] != first:
                problem = f"a second recording, {shown(cells[at])}, begins after {shown(first)}: expected one in a file"
                raise FeatureFileError(table.path, problem, line=line, column=column)
        yield line, cells


def _seconds(cell: str) -> float | None:
    """Seconds of `12.34`, or of `0 days 00:00:12.340000` as pandas writes a Timedelta; None for anything else."""
    if match := _TIMEDELTA.fullmatch(cell.strip()):
        days, hours, minutes, seconds = match.groups()
        return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)
    try:
        return float(cell)
    except ValueError:
        return None
