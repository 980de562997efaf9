"""The windows of a recording of features, all cut at once: bit by bit those that `windowing` makes frame by frame.

Where every frame comes in order, and before the first window that it belongs to is taken, no ring is needed: the
steps of the whole recording are averaged at once, and a window is a view of ten of them. When a window is due, and
so which frames it has seen, is still for the schedule to say. A recording that is not so orderly goes the ordinary
way, through `pipeline.score`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import STEP_NS, STEPS_PER_WINDOW, Estimate, FloatArray, Modality, Window
from mmal_ros.features.names import SIZES
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.pipeline import EngagementPipeline, in_batches, score
from mmal_ros.schedule import Schedule, moments
from mmal_ros.windowing import FUTURE_TOLERANCE_NS, HOLD_STEPS, KEPT_NS, step_of

Columns = Mapping[str, NDArray[Any]]
"""One modality of a `FeatureRecording`."""
Integers = NDArray[np.int64]


def score_recording(pipeline: EngagementPipeline, recording: FeatureRecording) -> Iterator[Estimate]:
    """The estimates of a recording of features: those that `score` gives, bit by bit, and several times as fast.

    Args:
        pipeline: a fresh one.
        recording: in memory as a whole.
    """
    windows = cut_windows(pipeline, recording)
    if windows is None:
        return score(pipeline, recording.frames(), recording.start_ns)
    return in_batches(pipeline.estimator, windows)


def cut_windows(pipeline: EngagementPipeline, recording: FeatureRecording) -> Iterator[Window] | None:
    """The windows that a fresh pipeline makes of a recording; None: it is not orderly."""
    feature_sets, period_ns = pipeline.windows.feature_sets, pipeline.windows.period_ns
    heard = {m: c for m, c in recording.arrays.items() if c["feature_set"] == feature_sets.get(m)}
    if not all(_orderly(m, columns, recording.start_ns) for m, columns in recording.arrays.items()):
        return None
    schedule = Schedule(period_ns, pipeline.max_delay_ns)
    due = _Due.of(schedule, recording, heard)
    if not all(due.complete(m, columns["stamp_ns"]) for m, columns in heard.items()):
        return None
