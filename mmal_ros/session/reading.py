"""What was recorded of a session, as arrays: features, estimates, raw signals of the wristband."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray, Modality
from mmal_ros.features.names import FEATURE_SETS, PHYSIOLOGY, SIZES
from mmal_ros.features.recording import LONGEST_NS, FeatureRecording
from mmal_ros.session.bag_reading import Bag, Received
from mmal_ros.session.card import SessionError
from mmal_ros.session.cdr import Bytes, CdrError, Integers
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.message_columns import (
    EstimateColumns,
    FrameColumns,
    estimate_columns,
    frame_columns,
    signal_chunk,
)
from mmal_ros.windowing import FUTURE_TOLERANCE_NS

SIGNALS = ("acc", "bvp", "eda", "temperature", "ibi", "battery", "tag")
Columns = dict[str, NDArray[Any]]
"""Of N frames."""
LATE_NS = 10 * NANOSECONDS_PER_SECOND
"""What a wristband measured came in within this time: its packets hold up to a second, and wait while it is out of
reach for a moment."""


@dataclass(frozen=True, slots=True, eq=False)
class RawSignal:
    """N values of one raw signal of the wristband, in the order of time."""

    unit: str
    """UCUM."""
    times_ns: Integers
    """(N,) when each was measured."""
    values: FloatArray
    """(N, channels)."""


def read_features(folder: SessionFolder) -> FeatureRecording:
    """All features of a session, each frame known from when the recorder received it.

    Frames that no model hears are left out: of another feature set than most of that modality, of a wrong length,
    stamped in the future, or before one that came earlier. So is what came a week or more after the first: the clock
    was set then.

    Raises:
        SessionError: the session is being recorded, or its bag cannot be read.
    """
    return _read(folder, estimates=False)[0]


def read_estimates(folder: SessionFolder) -> EstimateColumns:
    """All estimates of a session, in the order of time; raises SessionError as `read_features` does."""
    return _read(folder, features=False)[1]


def read_features_and_estimates(folder: SessionFolder) -> tuple[FeatureRecording, EstimateColumns]:
    """Both at once, in half the time."""
    return _read(folder)


def read_signals(folder: SessionFolder, start_ns: int, end_ns: int) -> dict[str, RawSignal]:
    """The raw signals that were measured from start to end, by name; those that say nothing then are left out.

    Beside those of the wristband `heart_rate`, as the features have it.

    Raises:
        SessionError: as `read_features` does.
    """
    bag = Bag(folder)
    topics = {name: topic for name in SIGNALS if (topic := bag.named(f"e4/{name}"))}
    features = bag.named(f"features/{Modality.PHYSIOLOGY}")
    received = bag.read([*topics.values(), *filter(None, [features])], start_ns, end_ns + LATE_NS)
    with _clear_errors(folder):
        signals = {name: _signal(received[topic].data) for name, topic in topics.items()}
        signals["heart_rate"] = _heart_rate(received[features]) if features else None
    between = {name: _between(signal, start_ns, end_ns) for name, signal in signals.items() if signal is not None}
    return {name: signal for name, signal in between.items() if len(signal.times_ns)}


def _read(
    folder: SessionFolder, *, features: bool = True, estimates: bool = True
) -> tuple[FeatureRecording, EstimateColumns]:
    bag = Bag(folder)
    topics = {m: topic for m in Modality if features and (topic := bag.named(f"features/{m}"))}
    engagement = bag.named("engagement") if estimates else None
    received = bag.read([*topics.values(), *filter(None, [engagement])])
    with _clear_errors(folder):
        columns = {modality: _feature_columns(modality, received[topic]) for modality, topic in topics.items()}
        estimated = estimate_columns(received[engagement].data if engagement else [])
    arrays = {modality: of_one for modality, of_one in columns.items() if of_one is not None}
    first_ns = min((int(of_one["known_ns"][0]) for of_one in arrays.values()), default=bag.start_ns)
    start_ns = folder.card().start_ns
    if first_ns and abs(first_ns - start_ns) > LONGEST_NS:
        raise SessionError(f"the card of {folder.name} gives another week as its start than the bag has; mend start_ns")
    _, in_order = np.unique(estimated.stamp_ns, return_index=True)
    return FeatureRecording(min(start_ns, first_ns), arrays), estimated[in_order]


def _feature_columns(modality: Modality, received: Received) -> Columns | None:
    known = [part for part in frame_columns(received.data) if _is_known(modality, part)]
    if not known:
        return None
    sets = [part.feature_set for part in known]
    chosen = max(sets, key=lambda name: sum(len(part.rows) for part in known if part.feature_set == name))
    parts = [part for part in known if part.feature_set == chosen]
    rows = np.concatenate([part.rows for part in parts])
    columns = {
        "stamp_ns": np.concatenate([part.stamp_ns for part in parts]),
        "known_ns": np.array(received.times_ns, np.int64)[rows],
        "values": np.concatenate([part.values for part in parts]) if len(parts) > 1 else parts[0].values,
        "valid": np.concatenate([part.valid for part in parts]),
        "confidence": np.concatenate([part.confidence for part in parts]),
    }
    columns = _possible(_as_they_came(columns, rows))
    return columns | {"feature_set": np.array(chosen)} if len(columns["stamp_ns"]) else None


def _is_known(modality: Modality, part: FrameColumns) -> bool:
    owner, _ = FEATURE_SETS.get(part.feature_set, (None, ()))
    return owner is modality and part.values.shape[1] == SIZES[modality]


def _as_they_came(columns: Columns, rows: Integers) -> Columns:
    return _taken(columns, np.argsort(rows)) if (np.diff(rows) < 0).any() else columns


def _possible(columns: Columns) -> Columns:
    """Without frames stamped in the future, which live are none, and those stamped before, or like, an earlier one."""
    known_ns = columns["known_ns"]
    passed = columns["stamp_ns"] <= known_ns + FUTURE_TOLERANCE_NS
    passed &= known_ns - known_ns[0] < LONGEST_NS
    if not passed.all():
        columns = _taken(columns, passed)
    stamps_ns = columns["stamp_ns"]
    newest_before_ns = np.append(-1, np.maximum.accumulate(stamps_ns))[:-1]
    kept = stamps_ns > newest_before_ns
    return columns if kept.all() else _taken(columns, kept)


def _taken(columns: Columns, which: Integers | NDArray[np.bool_]) -> Columns:
    return {name: column[which] for name, column in columns.items()}


def _signal(messages: Sequence[Bytes]) -> RawSignal | None:
    chunks = [signal_chunk(message) for message in messages]
    if not chunks:
        return None
    times_ns = np.concatenate([_times_ns(len(chunk.values), chunk.stamp_ns, chunk.rate_hz) for chunk in chunks])
    return RawSignal(chunks[0].unit, times_ns, np.concatenate([chunk.values for chunk in chunks]))


def _heart_rate(received: Received) -> RawSignal | None:
    columns = _feature_columns(Modality.PHYSIOLOGY, received)
    if columns is None:
        return None
    values = columns["values"][:, [PHYSIOLOGY.index("heart_rate_value")]]
    measured = columns["valid"] & (values[:, 0] > 0)
    return RawSignal("/min", columns["stamp_ns"][measured], values[measured])


def _between(signal: RawSignal, start_ns: int, end_ns: int) -> RawSignal:
    inside = (signal.times_ns >= start_ns) & (signal.times_ns <= end_ns)
    return RawSignal(signal.unit, signal.times_ns[inside], signal.values[inside])


def _times_ns(count: int, stamp_ns: int, rate_hz: float) -> Integers:
    """When each value of a chunk was measured; those of one event at once."""
    step_ns = NANOSECONDS_PER_SECOND / rate_hz if rate_hz > 0 else 0.0
    since_ns: Integers = np.rint(np.arange(count) * step_ns).astype(np.int64)
    return stamp_ns + since_ns


@contextmanager
def _clear_errors(folder: SessionFolder) -> Iterator[None]:
    try:
        yield
    except CdrError as error:
        raise SessionError(f"the bag of {folder.name} holds something else than our messages: {error}") from error
