"""What a person sees of a session: how engagement went over time, and the wristband's curves around one window.

What the timeline needs of the estimates is kept in `derived/`, so that four hours of them are there at once. It is made
anew when it is gone, or when the bag is another one, and may be deleted at any time.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray, Level, Modality
from mmal_ros.features.recording import LONGEST_NS
from mmal_ros.files import private_folder, replacing
from mmal_ros.npz import NpzError, read_npz
from mmal_ros.session.bag_metadata import BAG_FILE
from mmal_ros.session.cdr import Integers
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.message_columns import MISSING, UNKNOWN
from mmal_ros.session.reading import RawSignal, read_estimates, read_signals
from mmal_ros.session.records import CLIP_MARGIN_NS

DERIVED = "derived"
TRACE_FILE = "trace.npz"
LEAST_GAP_NS = 2 * NANOSECONDS_PER_SECOND
MISSING_STEPS = 4
"""Values of a curve that lie so many times farther apart than they usually do have a gap between them."""
DIGITS = 4
CURVES = {"eda": "eda", "bvp": "pulse", "heart_rate": "heart_rate", "temperature": "temperature", "acc": "movement"}
"""Signal and curve."""
Values = list[float | None]


@dataclass(frozen=True, slots=True)
class Gap:
    """A modality could not be heard."""

    modality: str
    start_s: float
    """Since the start of the session."""
    end_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """A session at a glance; all of it can become JSON. Lists are of equal length, None: not known then."""

    start_ns: int
    end_ns: int
    times_s: list[float]
    """Since the start of the session: the middles of equal stretches of time."""
    level: list[int | None]
    """0 to 2: the most frequent one of each stretch."""
    engagement: Values
    """0 to 1: the mean of the expected level, 0 where it is surely low and 1 where it is surely high."""
    by_modality: dict[str, Values]
    """The same as each modality alone has it."""
    gaps: list[Gap]
    """Of 2 s and more."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One signal around one window; it can become JSON."""

    unit: str
    """UCUM, for example `uS` or `Cel`."""
    times_s: list[float]
    """From the end of the window: negative before it."""
    values: Values
    """None: a gap, over which no line is to be drawn."""


def read_timeline(folder: SessionFolder, points: int = 1500) -> Timeline:
    """How engagement went in a session, in at most so many points.

    Raises:
        SessionError: the session is being recorded, or its bag cannot be read.
    """
    trace, card = _trace(folder), folder.card()
    last_ns = int(trace.stamp_ns[-1]) if len(trace.stamp_ns) else 0
    end_ns = min(max(card.end_ns or last_ns, card.start_ns + 1), card.start_ns + LONGEST_NS)
    trace = trace.between(card.start_ns, end_ns)
    stretches = _Stretches(trace.stamp_ns - card.start_ns, end_ns - card.start_ns, points)
    known = trace.level != UNKNOWN
    of_each = [(m, trace.by_modality[:, place], trace.heard[:, place]) for place, m in enumerate(Modality)]
    return Timeline(
        start_ns=card.start_ns,
        end_ns=end_ns,
        times_s=stretches.middles_s(),
        level=stretches.most_frequent(trace.level, known),
        engagement=stretches.mean(trace.engagement, known),
        by_modality={modality.value: stretches.mean(values, heard) for modality, values, heard in of_each},
        gaps=[gap for m, _, heard in of_each for gap in _gaps(m, trace.stamp_ns - card.start_ns, heard)],
    )


def read_curves(folder: SessionFolder, start_ns: int, end_ns: int) -> dict[str, Curve]:
    """The wristband's curves from 3 s before a window to 3 s after it; those without a value are left out.

    `eda` skin conductance, `pulse` blood volume pulse, `heart_rate`, `temperature` of the skin, and `movement`, the
    length of the acceleration: 1 g at rest.

    Args:
        folder: the session.
        start_ns: where the window begins.
        end_ns: where it ends, time 0 of the curves.

    Raises:
        SessionError: the session is being recorded, or its bag cannot be read.
    """
    signals = read_signals(folder, start_ns - CLIP_MARGIN_NS, end_ns + CLIP_MARGIN_NS)
    return {curve: _curve(signals[name], end_ns) for name, curve in CURVES.items() if name in signals}


def write_derived(folder: SessionFolder) -> None:
    """Make what is derived, so that nobody waits for it later; raises SessionError as `read_timeline` does."""
    _trace(folder)


# --- what the timeline needs of the estimates --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Trace:
    """N estimates."""

    stamp_ns: Integers
    level: NDArray[np.int8]
    engagement: FloatArray
    by_modality: FloatArray
    """(N, 4)."""
    heard: NDArray[np.bool_]
    """(N, 4)."""

    def between(self, start_ns: int, end_ns: int) -> _Trace:
        """The estimates of windows that end after the start, up to the end."""
        rows = slice(*np.searchsorted(self.stamp_ns, [start_ns, end_ns], side="right"))
        return _Trace(*(getattr(self, field.name)[rows] for field in fields(self)))


def _trace(folder: SessionFolder) -> _Trace:
    """As it was derived; where that cannot be used it is derived anew."""
    path = folder.path / DERIVED / TRACE_FILE
    with suppress(NpzError, KeyError):
        file = read_npz(path)
        if file["bag"].tolist() == _bag_state(folder):
            return _Trace(*(file[field.name] for field in fields(_Trace)))
    estimates = read_estimates(folder)
    trace = _Trace(
        stamp_ns=estimates.stamp_ns,
        level=estimates.level,
        engagement=_expected(estimates.probabilities),
        by_modality=_expected(estimates.by_modality),
        heard=estimates.status != MISSING,
    )
    with suppress(OSError):  # on a disk that cannot be written it only takes longer
        _write_trace(path, trace, _bag_state(folder))
    return trace


def _write_trace(path: Path, trace: _Trace, bag_state: list[int]) -> None:
    private_folder(path.parent)
    content = BytesIO()  # not into the file: on a full disk NumPy's archive complains once more when it is forgotten
    np.savez(content, bag=bag_state, **{field.name: getattr(trace, field.name) for field in fields(trace)})
    with replacing(path) as scratch:
        scratch.write_bytes(content.getbuffer())


def _bag_state(folder: SessionFolder) -> list[int]:
    """What changes when the bag does."""
    state = (folder.bag / BAG_FILE).stat()
    return [state.st_size, state.st_mtime_ns]


def _expected(probabilities: FloatArray) -> FloatArray:
    """The expected level, (N, ...), as a share of the highest, from probabilities (N, ..., 3)."""
    expected: FloatArray = probabilities @ np.array(Level, np.float32) / np.float32(Level.HIGH)
    return expected


# --- drawing ------------------------------------------------------------------------------------------------------


class _Stretches:
    """Equal stretches of a session, and which of them each estimate lies in."""

    def __init__(self, since_ns: Integers, length_ns: int, points: int) -> None:
        self._count = max(min(points, len(since_ns)), 1)
        self._length_s = length_ns / NANOSECONDS_PER_SECOND / self._count
        self._of = (since_ns - 1) * self._count // length_ns

    def middles_s(self) -> list[float]:
        middles: list[float] = ((np.arange(self._count) + 0.5) * self._length_s).round(DIGITS).tolist()
        return middles

    def mean(self, values: FloatArray, known: NDArray[np.bool_]) -> Values:
        """Of what is known of each stretch."""
        counts = np.bincount(self._of[known], minlength=self._count)
        sums = np.bincount(self._of[known], values[known], minlength=self._count)
        means = (sums / np.maximum(counts, 1)).round(DIGITS)
        return [mean if count else None for mean, count in zip(means.tolist(), counts.tolist(), strict=True)]

    def most_frequent(self, levels: NDArray[np.int8], known: NDArray[np.bool_]) -> list[int | None]:
        """The level of each stretch; of two equally frequent ones the lower."""
        cells = self._of[known] * len(Level) + levels[known]
        counts = np.bincount(cells, minlength=self._count * len(Level)).reshape(self._count, len(Level))
        return [int(row.argmax()) if row.any() else None for row in counts]


def _gaps(modality: Modality, since_ns: Integers, heard: NDArray[np.bool_]) -> list[Gap]:
    edges = np.flatnonzero(np.diff(heard, prepend=True, append=True))
    runs = [(int(since_ns[first]), int(since_ns[after - 1])) for first, after in edges.reshape(-1, 2)]
    return [
        Gap(modality.value, round(start / NANOSECONDS_PER_SECOND, DIGITS), round(end / NANOSECONDS_PER_SECOND, DIGITS))
        for start, end in runs
        if end - start >= LEAST_GAP_NS
    ]


def _curve(signal: RawSignal, zero_ns: int) -> Curve:
    values = signal.values[:, 0]
    if signal.values.shape[1] > 1:
        values = np.linalg.norm(signal.values, axis=1)
    times_s = (signal.times_ns - zero_ns) / NANOSECONDS_PER_SECOND
    known: Values = values.astype(float).round(DIGITS).tolist()
    times: list[float] = times_s.round(DIGITS).tolist()
    for after in reversed(_gaps_before(signal.times_ns)):
        times.insert(after, round((times[after - 1] + times[after]) / 2, DIGITS))
        known.insert(after, None)
    return Curve(signal.unit, times, known)


def _gaps_before(times_ns: Integers) -> list[int]:
    """Before which values something is missing."""
    steps_ns = np.diff(times_ns)
    usual_ns = np.median(steps_ns) if len(steps_ns) else 0
    gaps: list[int] = (np.flatnonzero(steps_ns > MISSING_STEPS * usual_ns) + 1).tolist()
    return gaps
