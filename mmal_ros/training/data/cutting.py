"""Recordings of features cut into windows as the live graph cuts them, at the hop of the specification.

What a network sees in training is what it gets live: the windows of a graph that estimates ten times a second, each
with only what was known when it was due; of those, one every 0.67 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, STEPS_PER_WINDOW, FloatArray, Modality, Window
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.window_stream import WindowStream
from mmal_ros.windowing import copy_of

HOP_NS = 670_000_000
"""Offline default: the window counts of the paper's table 1 fit a shift of about 0.67 s (docs, MMQL 2019)."""
ESTIMATES_HZ = 10
WINDOW_S = STEPS_PER_WINDOW * STEP_NS / NANOSECONDS_PER_SECOND
GAP_S = 20.0
"""Twice the longest memory of a feature, 10 s of rolling statistics of A-PHYS (docs/features.md): windows that are
further apart than this share no measurement. They overlap by a third, and slow signals change over minutes, so they
are like one another all the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """N windows in the order of time."""

    ends_ns: NDArray[np.int64]
    features: Mapping[Modality, FloatArray]
    """(N, T, D)."""
    mask: Mapping[Modality, FloatArray]
    """(N, T)."""

    def take(self, rows: NDArray[np.bool_]) -> Cut:
        """Only these windows."""
        return Cut(
            self.ends_ns[rows],
            {modality: values[rows] for modality, values in self.features.items()},
            {modality: values[rows] for modality, values in self.mask.items()},
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a recording with one label."""

    start_ns: int
    end_ns: int
    label: int


def cut(recording: FeatureRecording, feature_sets: Mapping[Modality, str]) -> Cut:
    """The windows of a recording, one every 0.67 s; of modalities that it lacks nothing is known."""
    windows = list(_windows(recording, feature_sets))
    return Cut(
        np.array([window.end_ns for window in windows], np.int64),
        {m: np.stack([window.features[m] for window in windows]) for m in feature_sets} if windows else {},
        {m: np.stack([window.mask[m] for window in windows]) for m in feature_sets} if windows else {},
    )


def segment_of(ends_ns: NDArray[np.int64], segments: Sequence[Segment]) -> NDArray[np.int64]:
    """(N,) index of the segment in which the whole second of a window lies; -1: in none, or across a border."""
    found = np.full(len(ends_ns), -1, np.int64)
    starts_ns = ends_ns - STEPS_PER_WINDOW * STEP_NS
    for index, segment in enumerate(segments):
        found[(starts_ns >= segment.start_ns) & (ends_ns <= segment.end_ns)] = index
    return found


def middles_s(ends_ns: NDArray[np.int64], start_ns: int) -> NDArray[np.float64]:
    """(N,) middle of the windows that end at `ends_ns`, in seconds since `start_ns`."""
    seconds: NDArray[np.float64] = (ends_ns - start_ns) / NANOSECONDS_PER_SECOND - WINDOW_S / 2
    return seconds


def _windows(recording: FeatureRecording, feature_sets: Mapping[Modality, str]) -> Iterator[Window]:
    stream = WindowStream(feature_sets, ESTIMATES_HZ)
    next_ns = recording.start_ns
    for window in stream.replay(recording.frames(), recording.start_ns):
        if window.end_ns >= next_ns:
            yield copy_of(window)
            next_ns += HOP_NS * ((window.end_ns - next_ns) // HOP_NS + 1)
