"""Windows: feature frames of four modalities, whenever they come, on one grid of steps.

A window is the ten steps of 100 ms that end at a given moment. The value of a step is the mean of the valid frames
measured in it, `start < stamp <= end`, whatever order they came in and nothing measured later. A step without a
valid frame holds the last value for up to 300 ms; after that it is 0 and its mask is 0. What a window says depends
only on the frames that were accepted before it was asked for, so a replay repeats it bit by bit.

Every arriving frame costs O(1) and taking a window copies nothing: the steps lie in a mirrored ring, in which any
ten neighbours are contiguous.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

import numpy as np

from mmal_ros.datatypes import (
    NANOSECONDS_PER_SECOND,
    STEP_NS,
    STEPS_PER_WINDOW,
    FeatureFrame,
    FloatArray,
    Modality,
    Window,
)
from mmal_ros.features.names import FEATURE_SETS

HOLD_STEPS = 3
"""A gap of up to 300 ms is bridged by the last value (docs/features.md, handling)."""
LEAST_COVERAGE = 0.5
"""A modality with fewer than half of its steps valid is missing in that window (docs/features.md, handling)."""
REACH_NS = (STEPS_PER_WINDOW + HOLD_STEPS) * STEP_NS
REACH_S = REACH_NS / NANOSECONDS_PER_SECOND
"""How far before its end a window can see: its steps, and what is held into the first of them."""
RING_STEPS = 48
"""Steps that are kept: the reach of a window, up to 2 s by which `schedule` may be behind, 0.5 s ahead of the clock."""
KEPT_NS = (RING_STEPS - 2) * STEP_NS
"""Frames older than this are too late for every ring, whatever its phase."""
FUTURE_TOLERANCE_NS = 500_000_000
"""Frames further ahead of the clock than this have a wrong stamp, not a fast path."""
RATES_HZ = (1, 2, 5, 10, 20, 40, 50)
"""Rates of estimation whose period divides the step or is a multiple of it."""


class Rejection(StrEnum):
    """Why a frame was not used. Rejected frames are counted, never silently lost."""

    OTHER_FEATURES = "of another feature list than the model's"
    WRONG_LENGTH = "of a wrong length"
    NOT_FINITE = "with NaN or infinite values"
    FROM_THE_FUTURE = "stamped in the future"
    TOO_OLD = "too late for any window"
    DUPLICATE = "stamped like an earlier one"


class StepRing:
    """The steps of one modality on one grid: sums while frames arrive, means when a window is taken.

    `values` and `mask` are mirrored: step s lies in the rows s % n and s % n + n, so that the rows
    [s % n, s % n + T) are always T neighbouring steps.
    """

    def __init__(self, size: int, phase_ns: int = 0) -> None:
        self._phase_ns = phase_ns
        self._stamps: list[list[int]] = [[] for _ in range(RING_STEPS)]
        self._sums = np.zeros((RING_STEPS, size))
        self._values = np.zeros((2 * RING_STEPS, size), np.float32)
        self._mask = np.zeros(2 * RING_STEPS, np.float32)
        self._steps_since_measured = [HOLD_STEPS + 1] * RING_STEPS
        self._newest: int | None = None  # newest step that a frame or a window has touched
        self._settled = 0  # steps up to here have their value, until a late frame comes
        self._read_only_values, self._read_only_mask = self._values.view(), self._mask.view()
        self._read_only_values.flags.writeable = self._read_only_mask.flags.writeable = False

    def step_of(self, stamp_ns: int) -> int:
        """The step in which a measurement falls: (start, end], so a stamp on the grid ends its step."""
        return -((self._phase_ns - stamp_ns) // STEP_NS) - 1

    def add(self, stamp_ns: int, values: FloatArray) -> bool:
        """Count the values of one valid frame into its step; False: a frame with this stamp is there already."""
        step = self.step_of(stamp_ns)
        self._reach(step)
        slot = step % RING_STEPS
        stamps = self._stamps[slot]
        if stamp_ns in stamps:
            return False
        if stamps:
            self._sums[slot] += values
        else:
            self._sums[slot] = values
        stamps.append(stamp_ns)
        self._settled = min(self._settled, step - 1)
        return True

    def window(self, last_step: int) -> tuple[FloatArray, FloatArray, int | None]:
        """Features (T, D) and mask (T,) of the T steps up to `last_step` as views, and the newest stamp in them."""
        self._reach(last_step)
        for step in range(self._settled + 1, last_step + 1):
            self._settle(step)
        self._settled = max(self._settled, last_step)
        rows = slice(first := (last_step - STEPS_PER_WINDOW + 1) % RING_STEPS, first + STEPS_PER_WINDOW)
        return self._read_only_values[rows], self._read_only_mask[rows], self._newest_stamp(last_step)

    def _reach(self, step: int) -> None:
        """Make room up to a step; what is overwritten is older than the ring."""
        if self._newest is None:
            self._newest = self._settled = step - RING_STEPS
        if step <= self._newest:
            return
        for fresh in range(max(self._newest, step - RING_STEPS) + 1, step + 1):
            self._stamps[fresh % RING_STEPS] = []
        self._newest = step
        self._settled = max(self._settled, step - RING_STEPS)

    def _settle(self, step: int) -> None:
        """Give a step its value: the mean of its frames, or the one held from the step before, or nothing."""
        slot, mirror, before = step % RING_STEPS, step % RING_STEPS + RING_STEPS, (step - 1) % RING_STEPS
        if count := len(self._stamps[slot]):
            np.divide(self._sums[slot], count, out=self._values[slot], casting="same_kind")
            since_measured = 0
        else:
            since_measured = min(self._steps_since_measured[before], HOLD_STEPS) + 1
            self._values[slot] = self._values[before] if since_measured <= HOLD_STEPS else 0
        self._steps_since_measured[slot] = since_measured
        self._values[mirror] = self._values[slot]
        self._mask[slot] = self._mask[mirror] = since_measured <= HOLD_STEPS

    def _newest_stamp(self, last_step: int) -> int | None:
        for step in range(last_step, last_step - STEPS_PER_WINDOW, -1):
            if stamps := self._stamps[step % RING_STEPS]:
                return max(stamps)
        return None


class SlidingWindows:
    """Collects the frames of all modalities and cuts windows from them at a steady rate.

    Rates above 10 Hz keep one ring per phase of the grid, so that every window still consists of whole steps.
    """

    def __init__(self, feature_sets: Mapping[Modality, str], rate_hz: float = 10) -> None:
        """Expect frames of these feature sets; raises ValueError for a rate that does not fit the grid."""
        if rate_hz not in RATES_HZ:
            raise ValueError(f"a rate of {rate_hz} estimates/s does not fit steps of 100 ms; possible: {RATES_HZ}")
        self.period_ns = round(NANOSECONDS_PER_SECOND / rate_hz)
        self.feature_sets = dict(feature_sets)
        self.frames_seen = dict.fromkeys(feature_sets, 0)
        self.rejected: dict[Modality, Counter[Rejection]] = {modality: Counter() for modality in feature_sets}
        self._sizes = {modality: len(FEATURE_SETS[name][1]) for modality, name in feature_sets.items()}
        self.forget()

    def forget(self) -> None:
        """Forget all frames, but not how many there were: the clock was set back, and they lie in its future."""
        phases = range(0, STEP_NS, min(self.period_ns, STEP_NS))
        self._rings = {m: [StepRing(size, phase) for phase in phases] for m, size in self._sizes.items()}
        self._latest_ns = 0  # newest moment that a frame or a window has touched
        self._out_of_reach_ns = 0  # no window to come can see what was measured up to here

    def add(self, frame: FeatureFrame, now_ns: int) -> Rejection | None:
        """Take a frame in, in O(1); returns why it was rejected, or None when it counts."""
        rejection = self._flaw(frame, now_ns)
        if rejection is None and frame.valid:
            fresh = [ring.add(frame.stamp_ns, frame.values) for ring in self._rings[frame.modality]]
            rejection = None if all(fresh) else Rejection.DUPLICATE
        if rejection is None:
            self._latest_ns = max(self._latest_ns, frame.stamp_ns)
            self.frames_seen[frame.modality] += 1
        else:
            self.rejected[frame.modality][rejection] += 1
        return rejection

    def window(self, end_ns: int) -> Window:
        """The window that ends at `end_ns`, a multiple of the period, later than the ones before.

        Its arrays are views: use them at once.
        """
        self._latest_ns = max(self._latest_ns, end_ns)
        self._out_of_reach_ns = max(self._out_of_reach_ns, end_ns + self.period_ns - REACH_NS)
        phase = end_ns % STEP_NS
        features, mask, coverage, newest = {}, {}, {}, {}
        for modality, rings in self._rings.items():
            ring = rings[phase // self.period_ns]
            features[modality], mask[modality], newest[modality] = ring.window(ring.step_of(end_ns))
            coverage[modality] = sum(mask[modality].tolist()) / STEPS_PER_WINDOW
        return Window(
            id=end_ns // self.period_ns,
            start_ns=end_ns - STEPS_PER_WINDOW * STEP_NS,
            end_ns=end_ns,
            features=features,
            mask=mask,
            coverage=coverage,
            newest_ns=newest,
            frames_seen=dict(self.frames_seen),
        )

    def _flaw(self, frame: FeatureFrame, now_ns: int) -> Rejection | None:
        if frame.feature_set != self.feature_sets[frame.modality]:
            return Rejection.OTHER_FEATURES
        if frame.values.shape != (self._sizes[frame.modality],):
            return Rejection.WRONG_LENGTH
        if not _finite(frame.values):
            return Rejection.NOT_FINITE
        if frame.stamp_ns > now_ns + FUTURE_TOLERANCE_NS:
            return Rejection.FROM_THE_FUTURE
        if frame.stamp_ns <= max(now_ns - KEPT_NS, self._latest_ns - KEPT_NS, self._out_of_reach_ns):
            return Rejection.TOO_OLD
        return None


def _finite(values: FloatArray) -> bool:
    """Whether all values are finite. Their square sum tells it five times as fast, unless it overflows."""
    return math.isfinite(values.dot(values)) or bool(np.isfinite(values).all())


def copy_of(window: Window) -> Window:
    """The window with arrays of its own, for those who keep it while further frames come."""
    return replace(
        window,
        features={modality: values.copy() for modality, values in window.features.items()},
        mask={modality: values.copy() for modality, values in window.mask.items()},
    )
