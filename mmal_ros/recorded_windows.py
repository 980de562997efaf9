"""The windows of a recording of features, all cut at once: bit by bit those that `windowing` makes frame by frame.

Where every frame comes in order, and before the first window that it belongs to is taken, no ring is needed: the
steps of the whole recording are averaged at once, and a window is a view of ten of them. When a window is due, and
so which frames it has seen, is still for the schedule to say. A recording that is not so orderly goes the ordinary
way, through `pipeline.score`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import STEP_NS, STEPS_PER_WINDOW, Estimate, FloatArray, Modality, Window
from mmal_ros.features.names import SIZES
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.pipeline import BATCH, EngagementPipeline, in_batches, score
from mmal_ros.schedule import Schedule, moments
from mmal_ros.windowing import FUTURE_TOLERANCE_NS, HOLD_STEPS, KEPT_NS

Columns = Mapping[str, NDArray[Any]]
"""One modality of a `FeatureRecording`."""
Integers = NDArray[np.int64]
REACH_STEPS = STEPS_PER_WINDOW + HOLD_STEPS
BLOCK = 10 * BATCH
"""Windows that are cut together: a minute stays in the cache, where an hour would not."""


def score_recording(pipeline: EngagementPipeline, recording: FeatureRecording) -> Iterator[Estimate]:
    """The estimates of a recording of features: those that `score` gives, bit by bit, and several times as fast.

    Args:
        pipeline: a fresh one.
        recording: what it is to be fed with.
    """
    windows = cut_windows(pipeline, recording)
    if windows is None:
        return score(pipeline, recording.frames(), recording.start_ns)
    return in_batches(pipeline.estimator, windows)


def cut_windows(pipeline: EngagementPipeline, recording: FeatureRecording) -> Iterator[Window] | None:
    """The windows that a fresh pipeline would make of a recording; None: it is not orderly."""
    feature_sets, period_ns = pipeline.windows.feature_sets, pipeline.windows.period_ns
    whole = _with_absent(recording, feature_sets)
    if not _acceptable(whole, feature_sets):
        return None
    ends_ns, seen = _due(whole, period_ns, pipeline.max_delay_ns)
    if not all(_in_time(ends_ns, seen[m], columns["stamp_ns"]) for m, columns in whole.arrays.items()):
        return None
    blocks = (slice(first, first + BLOCK) for first in range(0, len(ends_ns), BLOCK))
    return chain.from_iterable(
        _windows(whole, ends_ns[block], {m: counts[block] for m, counts in seen.items()}, period_ns) for block in blocks
    )


# --- whether it is orderly ---------------------------------------------------------------------------------------


def _with_absent(recording: FeatureRecording, feature_sets: Mapping[Modality, str]) -> FeatureRecording:
    """The recording with no frames of the modalities that it lacks."""
    absent = {
        modality: {
            "stamp_ns": np.zeros(0, np.int64),
            "known_ns": np.zeros(0, np.int64),
            "values": np.zeros((0, SIZES[modality]), np.float32),
            "valid": np.zeros(0, bool),
            "feature_set": np.array(feature_set),
        }
        for modality, feature_set in feature_sets.items()
    }
    return FeatureRecording(
        recording.start_ns, {**recording.arrays, **{m: c for m, c in absent.items() if m not in recording.arrays}}
    )


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


def _in_time(ends_ns: Integers, seen: Integers, stamps_ns: Integers) -> bool:
    """Whether every window has seen all frames stamped up to its end."""
    return bool((np.searchsorted(stamps_ns, ends_ns, side="right") <= seen).all())


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
    """The end of every window and how many frames had come when it was due, as in `pipeline.score`."""
    time_ns, frames = start_ns, 0
    for time_ns, frame in moments(schedule, arrivals, start_ns):
        if frame is not None:
            schedule.note(*frame, time_ns)
            frames += 1
        for end_ns in schedule.due(time_ns):
            yield end_ns, frames
    for end_ns in schedule.due(time_ns + max_delay_ns):
        if end_ns <= time_ns:
            yield end_ns, frames


# --- steps and windows -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Steps:
    """Consecutive steps of all modalities, from `origin_ns` on."""

    origin_ns: int
    values: dict[Modality, FloatArray]
    """(S, D), 0 where the mask is 0."""
    mask: dict[Modality, FloatArray]
    """(S,)."""
    coverage: dict[Modality, list[float]]
    """Of the windows that begin with each step but the last nine."""


def _windows(
    recording: FeatureRecording, ends_ns: Integers, seen: Mapping[Modality, Integers], period_ns: int
) -> Iterator[Window]:
    phases_ns = ends_ns % STEP_NS
    grids = {int(phase): _steps(recording, ends_ns[phases_ns == phase]) for phase in np.unique(phases_ns)}
    newest = {modality: _newest(columns, ends_ns) for modality, columns in recording.arrays.items()}
    frames_seen = {modality: counts.tolist() for modality, counts in seen.items()}
    for number, end_ns in enumerate(ends_ns.tolist()):
        steps = grids[end_ns % STEP_NS]
        first = (end_ns - steps.origin_ns) // STEP_NS - STEPS_PER_WINDOW
        rows = slice(first, first + STEPS_PER_WINDOW)
        yield Window(
            id=end_ns // period_ns,
            start_ns=end_ns - STEPS_PER_WINDOW * STEP_NS,
            end_ns=end_ns,
            features={modality: of_one[rows] for modality, of_one in steps.values.items()},
            mask={modality: of_one[rows] for modality, of_one in steps.mask.items()},
            coverage={modality: of_one[first] for modality, of_one in steps.coverage.items()},
            newest_ns={modality: of_one[number] for modality, of_one in newest.items()},
            frames_seen={modality: of_one[number] for modality, of_one in frames_seen.items()},
        )


def _steps(recording: FeatureRecording, ends_ns: Integers) -> _Steps:
    """The steps of the windows that end at `ends_ns`, a multiple of steps apart, and those held into the first."""
    origin_ns = int(ends_ns[0]) - REACH_STEPS * STEP_NS
    steps = _Steps(origin_ns, {}, {}, {})
    for modality, columns in recording.arrays.items():
        inside = slice(*np.searchsorted(columns["stamp_ns"], [origin_ns, ends_ns[-1]], side="right"))
        rows = np.flatnonzero(columns["valid"][inside])
        numbers = (columns["stamp_ns"][inside][rows] - origin_ns - 1) // STEP_NS
        measured, means = _means(columns["values"][inside], rows, numbers)
        values = np.zeros(((ends_ns[-1] - origin_ns) // STEP_NS, means.shape[1]), np.float32)
        values[measured] = means
        mask = _hold(values, measured)
        steps.values[modality], steps.mask[modality] = values, mask
        steps.coverage[modality] = (np.convolve(mask, np.ones(STEPS_PER_WINDOW), "valid") / STEPS_PER_WINDOW).tolist()
    return steps


def _means(values: FloatArray, rows: Integers, numbers: Integers) -> tuple[Integers, FloatArray]:
    """The steps with frames, and the mean of each, summed in the order of arrival as `StepRing` does.

    Args:
        values: (N, D) of all frames.
        rows: those of the valid ones.
        numbers: the steps into which these fall, ascending.
    """
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    counts = np.diff(starts, append=len(numbers))
    sums = values[rows[starts]].astype(np.float64)
    for nth in range(1, counts.max(initial=0)):
        more = counts > nth
        sums[more] += values[rows[starts[more] + nth]]
    return numbers[starts], (sums / counts[:, None]).astype(np.float32)


def _hold(values: FloatArray, measured: Integers) -> FloatArray:
    """Bridge short gaps in the values of steps with the last value before; returns the mask."""
    steps = np.arange(len(values))
    last = np.full(len(values), -REACH_STEPS)
    last[measured] = measured
    last = np.maximum.accumulate(last)
    held = (last < steps) & (steps - last <= HOLD_STEPS)
    values[held] = values[last[held]]
    mask: FloatArray = (steps - last <= HOLD_STEPS).astype(np.float32)
    return mask


def _newest(columns: Columns, ends_ns: Integers) -> list[int | None]:
    """The newest stamp of a valid frame in each window."""
    stamps_ns = columns["stamp_ns"][columns["valid"]]
    counts = np.searchsorted(stamps_ns, ends_ns, side="right")
    newest = [stamps_ns.item(count - 1) if count else None for count in counts.tolist()]
    starts_ns = (ends_ns - STEPS_PER_WINDOW * STEP_NS).tolist()
    return [n if n is not None and n > start_ns else None for n, start_ns in zip(newest, starts_ns, strict=True)]
