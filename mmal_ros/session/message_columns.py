"""Feature frames, estimates and raw signals from the bytes in a bag, in columns.

Where a field lies depends on the strings before it. Comments name the fields; mmal_msgs says what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray, Level, Modality
from mmal_ros.session.cdr import ORIGIN, Bytes, Cursor, Integers, tables

UNKNOWN = -1
"""In the place of a level."""
MISSING = 0
"""The status of a modality that did not vote."""
ENGAGEMENT_BYTES = 168
"""Of an Engagement, from its window_id to the end of its latency."""
PART = np.dtype(
    {
        "names": ["status", "probabilities", "confidence", "age", "frames_seen"],
        "formats": ["u1", ("<f4", len(Level)), "<f4", "<f4", "<u8"],
        "offsets": [1, 4, 16, 20, 24],
        "itemsize": 32,
    }
)
"""A ModalityEstimate; in an Engagement each begins at a multiple of 8."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameColumns:
    """N feature frames of one feature set."""

    rows: Integers
    """(N,) which of the messages they are."""
    feature_set: str
    stamp_ns: Integers
    values: FloatArray
    """(N, D)."""
    valid: NDArray[np.bool_]
    confidence: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class EstimateColumns:
    """N estimates; modalities are in the order of `Modality`."""

    window_id: Integers
    stamp_ns: Integers
    """(N,) ends of the windows."""
    level: NDArray[np.int8]
    """(N,) 0 to 2, or `UNKNOWN`."""
    probabilities: FloatArray
    """(N, 3)."""
    by_modality: FloatArray
    """(N, 4, 3)."""
    confidence: FloatArray
    """(N, 4)."""
    status: NDArray[np.uint8]
    """(N, 4) 0: missing, 1: stale, 2: valid."""
    age_s: FloatArray
    """(N, 4) NaN: nothing was measured in the window."""
    frames_seen: Integers
    """(N, 4)."""
    model: NDArray[np.str_]
    """(N,) name/version of the model set."""

    def __len__(self) -> int:
        return len(self.window_id)

    def __getitem__(self, rows: Any) -> EstimateColumns:
        """Some of them; `rows` as NumPy takes it."""
        return EstimateColumns(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class SignalChunk:
    """Consecutive values of one raw signal."""

    stamp_ns: int
    """Of the first one."""
    name: str
    unit: str
    """UCUM."""
    rate_hz: float
    """0: events."""
    values: FloatArray
    """(n, channels)."""


def frame_columns(messages: Sequence[Bytes]) -> list[FrameColumns]:
    """Messages FeatureFrame, by feature set and number of values; raises CdrError."""
    found = []
    for rows, table in tables(messages, _frame_layout):
        found.append(
            FrameColumns(
                rows=rows,
                feature_set=_feature_set(messages[rows[0]]),
                stamp_ns=_nanoseconds(table),
                values=np.ascontiguousarray(table["values"], np.float32),
                valid=table["valid"].astype(bool),
                confidence=np.ascontiguousarray(table["confidence"], np.float32),
            )
        )
    return found


def estimate_columns(messages: Sequence[Bytes]) -> EstimateColumns:
    """Messages Engagement, in their order; raises CdrError."""
    parts = [(rows, _estimates(table, _model(messages[rows[0]]))) for rows, table in tables(messages, _estimate_layout)]
    if not parts:
        return _estimates(np.zeros(0, _estimate_type(ORIGIN, 0)), "")
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    names = [field.name for field in fields(EstimateColumns)]
    return EstimateColumns(*(np.concatenate([getattr(part, name) for _, part in parts])[order] for name in names))


def signal_chunk(message: Bytes) -> SignalChunk:
    """A message SignalChunk; raises CdrError."""
    cursor = Cursor(message)
    stamp_ns = cursor.stamp_ns()
    cursor.text()  # frame_id
    name, unit = cursor.text(), cursor.text()
    rate_hz, channels = float(cursor.number("f")), max(int(cursor.number("B")), 1)
    values = cursor.floats()
    return SignalChunk(
        stamp_ns, name, unit, rate_hz, values[: len(values) // channels * channels].reshape(-1, channels)
    )


def _frame_layout(message: Bytes) -> tuple[np.dtype[Any], Integers]:
    cursor, header_text = _after_header(message)
    cursor.skip(1)  # modality
    feature_set = cursor.skip(0, 4)
    cursor.text()
    texts = np.r_[header_text, feature_set : cursor.at]
    valid, confidence, length = cursor.skip(1), cursor.skip(4), cursor.skip(4)
    count = (len(message) - cursor.at) // 4
    kind = np.dtype(
        {
            "names": ["seconds", "nanoseconds", "valid", "confidence", "values"],
            "formats": ["<i4", "<u4", "u1", "<f4", ("<f4", (count,))],
            "offsets": [ORIGIN, ORIGIN + 4, valid, confidence, length + 4],
            "itemsize": len(message),
        }
    )
    return kind, np.r_[texts, length : length + 4]


def _estimate_layout(message: Bytes) -> tuple[np.dtype[Any], Integers]:
    cursor, header_text = _after_header(message)
    window_id = cursor.skip(ENGAGEMENT_BYTES, 8)
    model = cursor.skip(4)
    return _estimate_type(window_id, len(message)), np.r_[header_text, model : len(message)]


def _estimate_type(window_id: int, size: int) -> np.dtype[Any]:
    return np.dtype(
        {
            "names": ["seconds", "nanoseconds", "window_id", "level", "probabilities", "modalities"],
            "formats": ["<i4", "<u4", "<u8", "u1", ("<f4", len(Level)), (PART, len(Modality))],
            "offsets": [ORIGIN, ORIGIN + 4, window_id, window_id + 8, window_id + 12, window_id + 24],
            "itemsize": max(size, window_id + ENGAGEMENT_BYTES),
        }
    )


def _estimates(table: NDArray[Any], model: str) -> EstimateColumns:
    parts = table["modalities"]
    return EstimateColumns(
        window_id=table["window_id"].astype(np.int64),
        stamp_ns=_nanoseconds(table),
        level=table["level"].astype(np.int8) - 1,  # the message has 0 for unknown
        probabilities=table["probabilities"].astype(np.float32),
        by_modality=parts["probabilities"].astype(np.float32),
        confidence=parts["confidence"].astype(np.float32),
        status=parts["status"].astype(np.uint8),
        age_s=parts["age"].astype(np.float32),
        frames_seen=parts["frames_seen"].astype(np.int64),
        model=np.full(len(table), model),
    )


def _after_header(message: Bytes) -> tuple[Cursor, Integers]:
    """The cursor behind the header, and the bytes of the header's text."""
    cursor = Cursor(message)
    cursor.stamp_ns()
    begin = cursor.at
    cursor.text()  # frame_id
    return cursor, np.arange(begin, cursor.at)


def _feature_set(message: Bytes) -> str:
    cursor, _ = _after_header(message)
    cursor.skip(1)  # modality
    return cursor.text()


def _model(message: Bytes) -> str:
    cursor, _ = _after_header(message)
    cursor.skip(ENGAGEMENT_BYTES, 8)
    return cursor.text()


def _nanoseconds(table: NDArray[Any]) -> Integers:
    seconds: Integers = table["seconds"].astype(np.int64)
    return seconds * NANOSECONDS_PER_SECOND + table["nanoseconds"].astype(np.int64)
