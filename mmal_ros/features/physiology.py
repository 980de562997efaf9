"""A-PHYS: 27 features of skin conductance, heart rate, skin temperature and movement.

One frame per step of 100 ms, stamped at the step's end E. It holds all values up to E that came before the first
value of a moment after E, and it comes out with that first later value: all streams of a recording that measure at E
itself are in it. What comes late (a wristband sends skin conductance in packets of 1.5 s) counts from the next frame
on, so the values of a frame are the newest that were known.

A signal is *fresh* while its newest value is not older than two packets of the wristband. A signal that is not fresh
keeps its last value, or has a typical one before its first, with deviation and slope 0; the confidence is the share
of the four signals that are fresh. Steps in a silence of all signals of more than 2 s get no frames.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfilt_zi

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, FeatureFrame, Modality, Sample
from mmal_ros.features import names
from mmal_ros.features.heart_rate import HeartRate
from mmal_ros.features.rolling import RollingSignal, Times, Values, runs

FEATURE_SET = "e4"
SILENCE_NS = 2 * NANOSECONDS_PER_SECOND
"""After so long without data a device counts as silent (the watchdog of all sources)."""

ACC_SPAN_NS = 2 * NANOSECONDS_PER_SECOND
SLOW_SPAN_NS = 10 * NANOSECONDS_PER_SECOND
"""Rolling statistics: 2 s for acceleration, 10 s for the rest, as the list of features says."""
ACC_FRESH_NS = 500_000_000
EDA_FRESH_NS = 3 * NANOSECONDS_PER_SECOND
TEMPERATURE_FRESH_NS = 4 * NANOSECONDS_PER_SECOND
"""Two Bluetooth packets of the E4: 6 values at 32 Hz, 6 at 4 Hz, 8 at 4 Hz."""

EDA_RATE_HZ = 4
EDA_RANGE = (0.01, 100.0)
"""Microsiemens, range of the E4; below it the electrodes do not touch skin."""
TONIC_BELOW_HZ = 0.05
TONIC_ORDER = 2
"""Tonic and phasic part divide at 0.05 Hz with a Butterworth filter of second order, NeuroKit2's `eda_phasic` with
method `highpass`, here run forward only: the tonic part lags by about 5 s. Both add up to the measured value."""
TEMPERATURE_RANGE = (10.0, 45.0)
"""Degrees Celsius: colder than skin in winter and warmer than skin can be; outside nobody is measured."""
ACC_RANGE = (-8.0, 8.0)
"""g, the largest range that the accelerometer of the E4 can be set to; delivered at 2 g."""
NOT_WORN_NS = 10 * NANOSECONDS_PER_SECOND
"""Electrodes without skin for so long, and no pulse: the band is not worn. Empatica's own software says so too while
the skin conductance stays at 0; the pulse is asked because a loose band loses its electrodes first."""

SIGNALS = (("eda", 3), ("heart_rate", 1), ("temperature", 1), ("acc", 4))
"""Signals and their rows among `names.PHYSIOLOGY_SIGNALS`, in that order."""
TYPICAL = {
    "eda": (1.0, 1.0, 0.0),  # median of the people of stress-predict is 0.8 microsiemens
    "heart_rate": (75.0,),  # 1/min, in the middle of rest for adults and school children
    "temperature": (32.0,),  # degrees Celsius at the wrist indoors
    "acc": (0.0, 0.0, 1.0, 1.0),  # g, a hand that lies on a table
}
"""What stands for a signal before its first value: a zero would be far from everything that a model has seen."""


class PhysiologyExtractor:
    """Samples of `acc`, `bvp`, `eda`, `temperature` and `ibi` to frames of `names.PHYSIOLOGY`.

    Frames are not `valid` (zeros) while no signal is fresh and while the band is not worn. A sample may be cut into
    consecutive parts without any change of the frames. A stream whose stamps go back by more than 2 s is taken for a
    clock that was set: everything begins anew.
    """

    feature_sets: dict[Modality, str]

    def __init__(self) -> None:
        self.feature_sets = {Modality.PHYSIOLOGY: FEATURE_SET}
        self._somebody_else = threading.Event()
        self._restart()

    def process(self, sample: Sample) -> list[FeatureFrame]:
        """Frames of all steps that ended before the newest value of `sample`, oldest first."""
        if sample.source not in self._add:
            return []
        if sample.end_ns < self._newest_of.get(sample.source, sample.end_ns) - SILENCE_NS:
            self._restart()
        times, values = self._usable(sample)
        frames: list[FeatureFrame] = []
        if len(times) and self._somebody_else.is_set():
            self._somebody_else.clear()
            frames += self._frames_before(int(times[0]))  # these are still of the one before
            self._last = _typical()
        while len(times):
            frames += self._frames_before(int(times[0]))
            count = int(np.searchsorted(times, self._step_end_ns, side="right"))
            self._absorb(sample.source, times[:count], values[:count])
            times, values = times[count:], values[count:]
        return frames

    def expect_somebody_else(self) -> None:
        """From the next value on, what stands for a signal that is not fresh is typical, not what the one before had.

        What is fresh is measured: nobody takes a band off and puts it on another wrist within seconds.
        """
        self._somebody_else.set()

    def close(self) -> None:
        """Nothing to release."""

    def _restart(self) -> None:
        self._eda = SkinConductance()
        self._heart_rate = HeartRate()
        self._temperature = RollingSignal(1, SLOW_SPAN_NS, TEMPERATURE_FRESH_NS)
        self._acc = RollingSignal(4, ACC_SPAN_NS, ACC_FRESH_NS)
        self._add = {
            "acc": self._add_acc,
            "bvp": self._heart_rate.add_bvp,
            "eda": self._eda.add,
            "ibi": self._heart_rate.add_ibi,
            "temperature": self._add_temperature,
        }
        self._last = _typical()
        self._newest_of: dict[str, int] = {}
        self._newest_ns: int | None = None
        self._step_end_ns = 0

    def _usable(self, sample: Sample) -> tuple[Times, Values]:
        """Times and values of a sample, without what the stream has passed already and without what is no number."""
        values = np.asarray(sample.values, np.float64)
        period_ns = NANOSECONDS_PER_SECOND / sample.rate_hz if sample.rate_hz > 0 else 0.0
        times = sample.stamp_ns + np.rint(np.arange(len(values)) * period_ns).astype(np.int64)
        usable = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        newest_ns = self._newest_of.get(sample.source)
        if newest_ns is not None:
            usable &= times > newest_ns
        return times[usable], values[usable]

    def _absorb(self, source: str, times: Times, values: Values) -> None:
        self._add[source](times, values)
        self._newest_of[source] = int(times[-1])
        self._newest_ns = max(self._newest_of.values())

    def _frames_before(self, time_ns: int) -> list[FeatureFrame]:
        """Frames of the steps that end before `time_ns`, and the step forward to that of `time_ns`."""
        if self._newest_ns is None:
            self._step_end_ns = _end_of_step(time_ns)
            return []
        frames = []
        is_silence = time_ns - self._newest_ns > SILENCE_NS
        while self._step_end_ns < time_ns:
            frames.append(self._frame(self._step_end_ns))
            self._step_end_ns = _end_of_step(time_ns) if is_silence else self._step_end_ns + STEP_NS
        return frames

    def _frame(self, now_ns: int) -> FeatureFrame:
        readings = {
            "eda": self._eda.read(now_ns),
            "heart_rate": self._heart_rate.read(now_ns),
            "temperature": self._temperature.read(now_ns),
            "acc": self._acc.read(now_ns),
        }
        fresh = sum(reading is not None for reading in readings.values())
        is_worn = readings["heart_rate"] is not None or self._eda.untouched_ns < NOT_WORN_NS
        valid = fresh > 0 and is_worn
        rows = np.concatenate([self._rows(name, readings[name]) for name, _ in SIGNALS])
        values = rows.astype(np.float32).reshape(-1) if valid else np.zeros(len(names.PHYSIOLOGY), np.float32)
        confidence = fresh / len(SIGNALS) if valid else 0.0
        return FeatureFrame(Modality.PHYSIOLOGY, now_ns, values, valid, confidence, FEATURE_SET)

    def _rows(self, name: str, reading: Values | None) -> Values:
        """(k, 3) of a signal: what was read, or the last value that is known."""
        if reading is None:
            last = self._last[name]
            return last[:, np.newaxis] * (1.0, 0.0, 0.0)
        self._last[name] = reading[:, 0]
        return reading

    def _add_acc(self, times: Times, acc: Values) -> None:
        possible = _within(acc, ACC_RANGE).all(axis=1)
        magnitude = np.sqrt((acc * acc).sum(axis=1, keepdims=True))
        self._acc.add(times[possible], np.hstack((acc, magnitude))[possible])

    def _add_temperature(self, times: Times, temperature: Values) -> None:
        possible = _within(temperature, TEMPERATURE_RANGE)
        self._temperature.add(times[possible], temperature[possible, np.newaxis])


class SkinConductance:
    """Electrodermal activity with its tonic and its phasic part."""

    def __init__(self) -> None:
        self._low_pass = butter(TONIC_ORDER, TONIC_BELOW_HZ, "lowpass", fs=EDA_RATE_HZ, output="sos")
        self._at_rest = sosfilt_zi(self._low_pass)
        self._state = self._at_rest
        self._signal = RollingSignal(3, SLOW_SPAN_NS, EDA_FRESH_NS)
        self._touched_ns: int | None = None
        self._newest_ns = 0

    def add(self, times: Times, eda: Values) -> None:
        """Values (n,) in microsiemens, which are newer than those before."""
        if self._touched_ns is None:
            self._touched_ns = int(times[0])
        self._newest_ns = int(times[-1])
        touching = _within(eda, EDA_RANGE)
        for run_times, run in runs(times[touching], eda[touching], SILENCE_NS):
            self._add_run(run_times, run)

    def read(self, now_ns: int) -> Values | None:
        """(3, 3): `rolling.statistics` of the whole, the tonic and the phasic part; None when not fresh."""
        return self._signal.read(now_ns)

    @property
    def untouched_ns(self) -> int:
        """For how long the electrodes have measured, but no skin."""
        return self._newest_ns - self._touched_ns if self._touched_ns is not None else 0

    def _add_run(self, times: Times, eda: Values) -> None:
        assert self._touched_ns is not None
        if self._signal.is_empty or times[0] - self._touched_ns > SILENCE_NS:
            self._state = self._at_rest * eda[0]  # as if this value had always been there: no ringing
        tonic, self._state = sosfilt(self._low_pass, eda, zi=self._state)
        self._signal.add(times, np.column_stack((eda, tonic, eda - tonic)))
        self._touched_ns = int(times[-1])


def _typical() -> dict[str, Values]:
    return {name: np.array(typical) for name, typical in TYPICAL.items()}


def _within(values: Values, limits: tuple[float, float]) -> NDArray[np.bool_]:
    return (values >= limits[0]) & (values <= limits[1])


def _end_of_step(time_ns: int) -> int:
    """End of the step that holds `time_ns`: its start does not belong to it, its end does."""
    return -(-time_ns // STEP_NS) * STEP_NS
