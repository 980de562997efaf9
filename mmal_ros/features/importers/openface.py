"""OpenFace 2: the CSV of FeatureExtraction or FaceLandmarkVidMulti.

Columns and units: https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format. OpenFace 2 writes `frame, face_id,
timestamp, confidence, success` and up to 709 more; versions before 2.0 have no `face_id`, no gaze angles and no eye
landmarks, which are not among our 257 anyway, so their files are read as well.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.features import names
from mmal_ros.features.importers.errors import FeatureFileError
from mmal_ros.features.importers.recognise import OPENFACE
from mmal_ros.features.importers.rows import RowReader
from mmal_ros.features.importers.text_table import Numbers, TextTable

FEATURE_SET = "openface-2"
FLAGS = "-2Dfp -3Dfp -pdmparams -pose -aus -gaze"
REMEDY = f"; run FeatureExtraction with {FLAGS} (without flags it writes all of them)"
SHORTEST_STEP_NS = 2_000_000
"""500 pictures a second. Faster times are counters: some versions number image sequences in milliseconds."""

_FRAME_COLUMNS = ("confidence", "success", *names.FACE)
_LISTED = 10

_LIMITS: tuple[tuple[tuple[str, ...], float, float, str], ...] = (
    (names.GAZE, -1.001, 1.001, "part of a unit vector"),
    (names.HEAD_ROTATION, -2 * math.pi, 2 * math.pi, "radians"),
    (("p_rx", "p_ry", "p_rz"), -2 * math.pi, 2 * math.pi, "radians"),
    (names.ACTION_UNIT_INTENSITY, 0, 5, "an intensity from 0 to 5"),
    (names.ACTION_UNIT_PRESENCE, 0, 1, "0 or 1"),
)
_LOW, _HIGH = np.full(len(names.FACE), -np.inf), np.full(len(names.FACE), np.inf)
_UNIT = dict.fromkeys(names.FACE, "")
for _columns, _low, _high, _unit in _LIMITS:
    _at = [names.FACE.index(_column) for _column in _columns]
    _LOW[_at], _HIGH[_at] = _low, _high
    _UNIT.update(dict.fromkeys(_columns, _unit))

_log = logging.getLogger(__name__)


def read_openface(
    path: Path, start_ns: int, *, face_id: int | None = None, rate_hz: float | None = None
) -> Iterator[FeatureFrame]:
    """The face of one person, row by row: the 257 columns of `names.FACE` as they stand in the file.

    `valid` is OpenFace's `success`; the values of a row without success are not looked at.

    Args:
        path: the CSV.
        start_ns: stamp of the video's first picture; `timestamp` is added.
        face_id: whom to take where several faces were tracked (FaceLandmarkVidMulti; OpenFace does not promise that an
            id stays with a person). None: the one with the most successful rows, the lowest id among equals.
        rate_hz: pictures a second; stamps then come from `frame` (from 1) instead of `timestamp`, which is wrong for
            image sequences.

    Yields:
        Frames of `openface-2` in the order of time.

    Raises:
        FeatureFileError: at once for the header, while iterating for the rows, with line and column.
        ValueError: `rate_hz` is not above 0.
    """
    if rate_hz is not None and not 0 < rate_hz < math.inf:
        raise ValueError(f"rate_hz is {rate_hz}, expected pictures a second, above 0")
    table = TextTable(path, expected=OPENFACE, note=REMEDY)
    table.require((*_FRAME_COLUMNS, "timestamp" if rate_hz is None else "frame"))
    return _warning_of_counters(_frames(table, start_ns, face_id, rate_hz), path)


def _frames(table: TextTable, start_ns: int, face_id: int | None, rate_hz: float | None) -> Iterator[FeatureFrame]:
    rows = RowReader(table.path, Modality.FACE, FEATURE_SET, names.FACE, start_ns)
    time_column = "timestamp" if rate_hz is None else "frame"
    chosen = _face_to_take(table, rows, face_id)
    face_column = time_column if chosen is None else "face_id"
    for line, numbers in table.numbers((face_column, time_column, *_FRAME_COLUMNS)):
        face, time, confidence, success, values = *numbers[:4], numbers[4:]
        if chosen is not None and face != chosen:
            continue
        stamp_ns = rows.stamp(time if rate_hz is None else (time - 1) / rate_hz, line, time_column)
        trust = rows.confidence(confidence, line, "confidence")
        valid = rows.flag(success, line, "success")
        if valid:
            _check_units(values, rows, line)
        yield rows.frame(stamp_ns, values, valid=valid, confidence=trust, line=line)


def _face_to_take(table: TextTable, rows: RowReader, face_id: int | None) -> int | None:
    """The face to read; None: there is no choice."""
    if "face_id" not in table.columns:
        return None
    successes: Counter[int] = Counter()
    for line, (face, success) in table.numbers(("face_id", "success")):
        if not float(face).is_integer():
            raise rows.error(f"found {face:g}, expected a whole number", line, "face_id")
        successes[int(face)] += success == 1
    if face_id is not None and face_id not in successes:
        raise FeatureFileError(table.path, f"there is no face {face_id}; there are {sorted(successes)[:_LISTED]}")
    return max(sorted(successes), key=successes.__getitem__) if face_id is None else face_id


def _check_units(values: Numbers, rows: RowReader, line: int) -> None:
    wrong = np.flatnonzero((values < _LOW) | (values > _HIGH))
    if len(wrong):
        column = names.FACE[wrong[0]]
        raise rows.error(f"found {values[wrong[0]]:g}, expected {_UNIT[column]}", line, column)


def _warning_of_counters(frames: Iterator[FeatureFrame], path: Path) -> Iterator[FeatureFrame]:
    """The same frames; says so in the log if the times of the first two cannot be those of a video."""
    first = next(frames, None)
    second = next(frames, None)
    if first and second and second.stamp_ns - first.stamp_ns < SHORTEST_STEP_NS:
        _log.warning("%s: pictures less than 2 ms apart: `timestamp` only counts; give rate_hz of the video", path)
    yield from (frame for frame in (first, second) if frame)
    yield from frames
