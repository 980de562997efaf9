"""Heart rate from a pulse wave or from inter-beat intervals, as far as it can be known without looking ahead."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import NamedTuple

import numpy as np
from scipy.signal import butter, find_peaks, sosfilt, sosfilt_zi

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.features.rolling import Times, Values, runs, statistics

SLOWEST_PER_MINUTE = 30.0
FASTEST_PER_MINUTE = 220.0
"""A resting athlete and a child at full effort: outside of these there is no beat, only an artefact."""
SHORTEST_S = 60 / FASTEST_PER_MINUTE
LONGEST_S = 60 / SLOWEST_PER_MINUTE

SPAN_NS = 10 * NANOSECONDS_PER_SECOND
"""Heart rate and its statistics are taken over so long, as the E4's own HR is."""
FRESH_NS = 5 * NANOSECONDS_PER_SECOND
"""Two beats of the slowest heart and one lost: after that the rate is not known any more."""
FEWEST_INTERVALS = 3
"""The median of three survives one artefact."""
NEIGHBOURS = 9
LARGEST_CHANGE = 0.3
"""An interval further than this from the median of its last nine is a missed or an invented beat, which are off by
half or more; breathing moves intervals by some 10 % (the rule of Malik et al. 1989, widened for a restless wrist)."""
MOST_IRREGULAR = 0.08
"""Median deviation from the median interval, as a share of it: 0.02-0.06 at rest (stress-predict), 0.11-0.24 in white
noise. Above the limit it is no pulse but movement, or no wrist. With it a rate is seen in noise for 3 % of the time,
and from the wave alone in 59 and 83 % of the first 25 minutes of S10 and S05."""

BVP_RATE_HZ = 64
BAND_HZ = (0.5, 8.0)
BAND_ORDER = 3
"""Band-pass of Elgendi et al., PLoS ONE 8(10), 2013: NeuroKit2's `ppg_clean`, here run forward only."""
RING_S = 4.0
"""Long enough to hold two beats of the slowest heart, short enough to follow a change of the pulse's height."""
LEAST_RING_S = 2.0
PROMINENCE = 0.8
"""In standard deviations of the ring: above the dicrotic wave, below a weak beat. From 0.5 to 1.2 the result hardly
changes (stress-predict)."""
CONFIRM_S = 0.25
"""A peak counts when so much of the wave behind it is known: the shortest interval between beats."""
BVP_GAP_NS = 300_000_000
"""Longer gaps, three steps, break the wave: the filter starts again and no interval spans the gap."""


class _Interval(NamedTuple):
    end_ns: int
    seconds: float
    trusted: bool


class Intervals:
    """Heart rate from the intervals between beats, artefacts left out."""

    def __init__(self, most_irregular: float) -> None:
        """`most_irregular`: see `MOST_IRREGULAR`; infinite for a device that has sorted out its artefacts itself."""
        self._most_irregular = most_irregular
        self._recent: deque[_Interval] = deque()
        self._neighbours: deque[float] = deque(maxlen=NEIGHBOURS)
        self._changed = False
        self._known: Values | None = None
        self._known_ns = 0

    def add(self, end_ns: int, seconds: float) -> None:
        """An interval of so many seconds ended with a beat at `end_ns`."""
        if not SHORTEST_S <= seconds <= LONGEST_S:
            return
        self._neighbours.append(seconds)
        usual = median(self._neighbours)
        self._recent.append(_Interval(end_ns, seconds, abs(seconds - usual) <= LARGEST_CHANGE * usual))
        self._changed = True

    def read(self, now_ns: int) -> Values | None:
        """(1, 3): rate in 1/min, its standard deviation and its slope per second; None when it is not known."""
        while self._recent and self._recent[0].end_ns <= now_ns - SPAN_NS:
            self._recent.popleft()
            self._changed = True
        if self._changed:
            self._changed = False
            self._estimate()
        is_fresh = self._known is not None and now_ns - self._known_ns <= FRESH_NS
        return self._known if is_fresh else None

    def _estimate(self) -> None:
        trusted = [interval for interval in self._recent if interval.trusted]
        if len(trusted) >= FEWEST_INTERVALS and self._is_regular():
            self._known = _rate(trusted)
            self._known_ns = trusted[-1].end_ns

    def _is_regular(self) -> bool:
        usual = median(interval.seconds for interval in self._recent)
        deviation = median(abs(interval.seconds - usual) for interval in self._recent)
        return deviation <= self._most_irregular * usual


def _rate(intervals: list[_Interval]) -> Values:
    times = np.array([interval.end_ns for interval in intervals])
    rates = np.array([[60 / interval.seconds] for interval in intervals])
    result = statistics(times, rates)
    result[0, 0] = np.median(rates)  # one beat's rate jumps with every breath and with the sampling of the wave
    return result


class PulseWave:
    """Finds the beats in a blood volume pulse as it comes in."""

    _times: Times
    _wave: Values
    """The last `RING_S` of the filtered wave."""
    _last_beat_ns: int | None
    _searched: bool

    def __init__(self) -> None:
        self._band = butter(BAND_ORDER, BAND_HZ, "bandpass", fs=BVP_RATE_HZ, output="sos")
        self._at_rest = sosfilt_zi(self._band)
        self._restart()

    def add(self, times_ns: Times, bvp: Values) -> None:
        """Append values (n,) of the wave, which are newer than those before."""
        for run_times, run in runs(times_ns, bvp, BVP_GAP_NS):
            self._add_run(run_times, run)

    def intervals(self) -> list[tuple[int, float]]:
        """(end in nanoseconds, seconds) between the beats that have shown themselves since the last call."""
        if self._searched or len(self._times) < LEAST_RING_S * BVP_RATE_HZ:
            return []
        self._searched = True
        found = []
        for beat_ns in self._beats():
            if self._last_beat_ns is not None:
                found.append((beat_ns, (beat_ns - self._last_beat_ns) / NANOSECONDS_PER_SECOND))
            self._last_beat_ns = beat_ns
        return found

    def _add_run(self, times_ns: Times, bvp: Values) -> None:
        if len(self._times) and times_ns[0] - self._times[-1] > BVP_GAP_NS:
            self._restart()
        if not len(self._times):
            self._state = self._at_rest * bvp[0]  # as if this value had always been there: no ringing
        filtered, self._state = sosfilt(self._band, bvp, zi=self._state)
        ring = round(RING_S * BVP_RATE_HZ)
        self._times = np.concatenate((self._times, times_ns))[-ring:]
        self._wave = np.concatenate((self._wave, filtered))[-ring:]
        self._searched = False

    def _beats(self) -> list[int]:
        peaks, _ = find_peaks(
            self._wave, distance=SHORTEST_S * BVP_RATE_HZ, prominence=PROMINENCE * float(self._wave.std())
        )
        times = self._times[peaks[peaks < len(self._wave) - CONFIRM_S * BVP_RATE_HZ]]
        if self._last_beat_ns is not None:
            times = times[times >= self._last_beat_ns + SHORTEST_S * NANOSECONDS_PER_SECOND]
        return [int(time_ns) for time_ns in times]

    def _restart(self) -> None:
        self._times = np.empty(0, np.int64)
        self._wave = np.empty(0)
        self._state = self._at_rest
        self._last_beat_ns = None
        self._searched = True


class HeartRate:
    """Heart rate of whoever wears a wristband or a chest strap."""

    def __init__(self) -> None:
        self._wave = PulseWave()
        self._from_wave = Intervals(MOST_IRREGULAR)
        self._from_device = Intervals(float("inf"))

    def add_bvp(self, times_ns: Times, bvp: Values) -> None:
        """Values (n,) of the blood volume pulse."""
        self._wave.add(times_ns, bvp)

    def add_ibi(self, times_ns: Times, seconds: Values) -> None:
        """Inter-beat intervals (n,) that the device itself has found."""
        for end_ns, interval_s in zip(times_ns, seconds, strict=True):
            self._from_device.add(int(end_ns), float(interval_s))

    def read(self, now_ns: int) -> Values | None:
        """(1, 3): see `Intervals.read`. The device's own intervals come first: it has the raw light signals."""
        for end_ns, seconds in self._wave.intervals():
            self._from_wave.add(end_ns, seconds)
        from_wave = self._from_wave.read(now_ns)
        from_device = self._from_device.read(now_ns)
        return from_wave if from_device is None else from_device
