"""The windows of a recording of features, cut many at once: bit by bit those that `windowing` makes frame by frame.

Where each modality's frames come in the order of their stamps, no ring is needed. What a step shows is the mean of
its frames as far as they were known, or the one held from a step before: in both cases what had been summed up to the
newest frame that was known and not stamped after the step. So that frame's number is all that has to be found. When a
window is due, and so what it knew, is still for the schedule to say. A recording that is not in order goes the
ordinary way, through `pipeline.score`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import STEP_NS, STEPS_PER_WINDOW, Estimate, FloatArray, Modality
from mmal_ros.features.names import SIZES
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.pipeline import BATCH, EngagementPipeline, score
from mmal_ros.schedule import Schedule, moments
from mmal_ros.window_columns import WindowColumns
from mmal_ros.window_stream import WindowStream
from mmal_ros.windowing import FUTURE_TOLERANCE_NS, HOLD_STEPS, KEPT_NS, REACH_NS

Columns = Mapping[str, NDArray[Any]]
"""One modality of a `FeatureRecording`."""
Integers = NDArray[np.int64]
WINDOW_NS = STEPS_PER_WINDOW * STEP_NS
BLOCK = 10 * BATCH
"""Windows that are cut together: a minute stays in the cache, where an hour would not."""


def score_recording(pipeline: EngagementPipeline, recording: FeatureRecording) -> Iterator[Estimate]:
    """The estimates of a recording of features: those that `score` gives, bit by bit, and several times as fast.

    Args:
        pipeline: a fresh one.
        recording: what it is to be fed with.
    """
    windows = cut_windows(pipeline.stream, recording)
    if windows is None:
        return score(pipeline, recording.frames(), recording.start_ns)
    return chain.from_iterable(map(pipeline.estimator.estimate_columns, windows))


def cut_windows(stream: WindowStream, recording: FeatureRecording) -> Iterator[WindowColumns] | None:
    """The windows that a fresh stream would make of a recording, in batches; None: it is not orderly."""
    feature_sets, period_ns = stream.windows.feature_sets, stream.windows.period_ns
    whole = with_absent(recording, feature_sets)
    if not _acceptable(whole, feature_sets):
        return None
    ends_ns, seen = _due(whole, period_ns, stream.max_delay_ns)
    stamps_ns = {m: columns["stamp_ns"] for m, columns in whole.arrays.items()}
    if not all(_in_reach(stamps_ns[m], ends_ns + period_ns, seen[m]) for m in stamps_ns):
        return None
    blocks = _slices(len(ends_ns), BLOCK)
    return chain.from_iterable(cut_at(whole, ends_ns[block], _each(seen, block), period_ns) for block in blocks)


# --- whether it is orderly ---------------------------------------------------------------------------------------


def with_absent(recording: FeatureRecording, feature_sets: Mapping[Modality, str]) -> FeatureRecording:
    """The recording with no frames of the modalities that it lacks."""
    absent = {m: _no_frames(m, name) for m, name in feature_sets.items() if m not in recording.arrays}
    return FeatureRecording(recording.start_ns, recording.arrays | absent)


def _no_frames(modality: Modality, feature_set: str) -> dict[str, NDArray[Any]]:
    return {
        "stamp_ns": np.zeros(0, np.int64),
        "known_ns": np.zeros(0, np.int64),
        "values": np.zeros((0, SIZES[modality]), np.float32),
        "valid": np.zeros(0, bool),
        "feature_set": np.array(feature_set),
    }


def _acceptable(recording: FeatureRecording, feature_sets: Mapping[Modality, str]) -> bool:
    """Whether time only goes on and `SlidingWindows.add` takes every frame, and in the order of their stamps."""
    return all(
        str(columns["feature_set"]) == feature_sets.get(modality)
        and columns["values"].shape == (len(columns["stamp_ns"]), SIZES[modality])
        and (np.diff(columns["known_ns"], prepend=recording.start_ns) >= 0).all()
        and (np.diff(columns["stamp_ns"]) > 0).all()
        and _plausible(columns["known_ns"] - columns["stamp_ns"])
        and np.isfinite(columns["values"]).all()
        for modality, columns in recording.arrays.items()
    )


def _plausible(delays_ns: Integers) -> bool:
    """Whether no frame is from the future or too old, even if another one is ahead of the clock."""
    return bool(((delays_ns >= -FUTURE_TOLERANCE_NS) & (delays_ns < KEPT_NS - FUTURE_TOLERANCE_NS)).all())


def _in_reach(stamps_ns: Integers, next_ends_ns: Integers, seen: Integers) -> bool:
    """Whether every frame came while the next window could still see it."""
    windows_before = np.searchsorted(seen, np.arange(len(stamps_ns)), side="right")
    ends_ns = np.concatenate([stamps_ns[:1], next_ends_ns])[windows_before]  # before the first one everything is
    return bool((stamps_ns > ends_ns - REACH_NS).all())


# --- when windows are due ----------------------------------------------------------------------------------------


def _due(recording: FeatureRecording, period_ns: int, max_delay_ns: int) -> tuple[Integers, dict[Modality, Integers]]:
    """The ends (W,) of all windows, and how many frames of each modality they have seen (W,)."""
    known_ns, owners = recording.arrivals()
    stamps_ns = np.empty_like(known_ns)
    for index, columns in enumerate(recording.arrays.values()):
        stamps_ns[owners == index] = columns["stamp_ns"]
    modalities = list(recording.arrays)
    notes = zip([modalities[owner] for owner in owners.tolist()], stamps_ns.tolist(), strict=True)
    arrivals = zip(known_ns.tolist(), notes, strict=True)
    due = list(_due_ends(Schedule(period_ns, max_delay_ns), arrivals, recording.start_ns, max_delay_ns))
    ends_ns, frames = np.array(due, np.int64).reshape(-1, 2).T
    seen = {m: np.searchsorted(np.flatnonzero(owners == index), frames) for index, m in enumerate(modalities)}
    return ends_ns, seen


def _due_ends(
    schedule: Schedule, arrivals: Iterable[tuple[int, tuple[Modality, int]]], start_ns: int, max_delay_ns: int
) -> Iterator[tuple[int, int]]:
    """The end of every window and how many frames had come when it was due, as in `WindowStream.replay`."""
    time_ns, frames = start_ns, 0
    for time_ns, frame in moments(schedule, arrivals, start_ns):
        if frame is not None:
            modality, stamp_ns = frame
            schedule.note(modality, stamp_ns, time_ns)
            frames += 1
        for end_ns in schedule.due(time_ns):
            yield end_ns, frames
    for end_ns in schedule.due(time_ns + max_delay_ns):
        if end_ns <= time_ns:
            yield end_ns, frames


# --- windows -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Block:
    """One modality in W windows."""

    means: FloatArray
    """(F + 1, D), of each frame and those before it in its step; the last row is 0."""
    rows: Integers
    """(W, T), which of them each step shows."""
    mask: FloatArray
    """(W, T)."""
    newest_ns: list[int | None]


def cut_at(
    recording: FeatureRecording, ends_ns: Integers, seen: Mapping[Modality, Integers], period_ns: int
) -> Iterator[WindowColumns]:
    """A block of windows, in batches."""
    blocks = {m: _block(columns, ends_ns, seen[m]) for m, columns in recording.arrays.items()}
    for batch in _slices(len(ends_ns), BATCH):
        yield WindowColumns(
            id=(ends_ns[batch] // period_ns).tolist(),
            end_ns=ends_ns[batch].tolist(),
            features={m: block.means[block.rows[batch]] for m, block in blocks.items()},
            mask={m: block.mask[batch] for m, block in blocks.items()},
            coverage={m: block.mask[batch].mean(axis=1, dtype=np.float64).tolist() for m, block in blocks.items()},
            newest_ns={m: block.newest_ns[batch] for m, block in blocks.items()},
            frames_seen={m: counts[batch].tolist() for m, counts in seen.items()},
        )


def _block(columns: Columns, ends_ns: Integers, seen: Integers) -> _Block:
    """What the windows that end at `ends_ns` (W,) show of the first `seen` (W,) frames."""
    inside = slice(*np.searchsorted(columns["stamp_ns"], [ends_ns[0] - REACH_NS, ends_ns[-1]], side="right"))
    valid = np.flatnonzero(columns["valid"][inside])
    stamps_ns, values = columns["stamp_ns"][inside][valid], columns["values"][inside][valid]
    step_ends_ns = ends_ns[:, None] - np.arange(STEPS_PER_WINDOW)[::-1] * STEP_NS
    known = np.searchsorted(valid, seen - inside.start)[:, None]
    newest = np.minimum(known, np.searchsorted(stamps_ns, step_ends_ns, side="right")) - 1
    newest_ns = np.append(stamps_ns, ends_ns[0] - KEPT_NS)[newest]  # of -1, no frame: older than any that is held
    mask = step_ends_ns - newest_ns < (HOLD_STEPS + 1) * STEP_NS
    phases_ns, phase = np.unique(ends_ns % STEP_NS, return_inverse=True)
    means = [_means(values, (stamps_ns - phase_ns - 1) // STEP_NS) for phase_ns in phases_ns]  # a step has its end
    in_window = zip(newest_ns[:, -1].tolist(), (ends_ns - WINDOW_NS).tolist(), strict=True)
    return _Block(
        means=np.concatenate([*means, np.zeros((1, values.shape[1]), np.float32)]),
        rows=np.where(mask, newest + phase[:, None] * len(valid), -1),
        mask=mask.astype(np.float32),
        newest_ns=[stamp_ns if stamp_ns > start_ns else None for stamp_ns, start_ns in in_window],
    )


def _means(values: FloatArray, steps: Integers) -> FloatArray:
    """The mean of each frame and those before it in the same step, (F, D), summed one by one as `StepRing` does."""
    starts = np.flatnonzero(np.diff(steps, prepend=steps[:1] - 1))
    counts = np.diff(starts, append=len(steps))
    means = values.astype(np.float32)
    sums = values[starts].astype(np.float64)
    for nth in range(1, counts.max(initial=0)):
        longer = counts > nth
        starts, counts = starts[longer], counts[longer]
        sums = sums[longer] + values[starts + nth]
        means[starts + nth] = sums / (nth + 1)
    return means


def _slices(length: int, size: int) -> Iterator[slice]:
    return (slice(first, first + size) for first in range(0, length, size))


def _each(columns: Mapping[Modality, Integers], part: slice) -> dict[Modality, Integers]:
    return {modality: column[part] for modality, column in columns.items()}
