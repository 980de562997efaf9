"""A wristband that a synthetic person wears, with the streams and the rates of an Empatica E4.

NeuroKit2 gives the shapes, one pulse wave and one skin conductance response; when they come is the script's. Its
simulators make whole recordings of constant rate, so they cannot follow a person.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors.source import Source, SourceState
from mmal_ros.sensors.synthetic.behaviour import Timeline, Wander, acts, fidgets, generator_for, utterances
from mmal_ros.sensors.synthetic.person import EngagementScript, Person

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "scipy.misc is deprecated", DeprecationWarning)  # NeuroKit2 0.2.12 imports it
    import neurokit2

ACC_HZ, BVP_HZ, EDA_HZ, TEMPERATURE_HZ = 32, 64, 4, 4
CHUNK_S = 0.25
BATTERY_EVERY_CHUNKS = 240  # 1 min
BATTERY_LIFE_S = 36 * 3600
"""An E4 streams for more than 20 h and records for more than 36 h (Empatica's data sheet)."""
TAGS_PER_MINUTE = 0.2
AROUSAL_LAG_S = 2.5
"""How slowly heart and skin follow: sweat glands answer after 1 to 4 s (Boucsein 2012, sec. 2.2.5)."""
ACC_STEP_G = 1 / 64
TEMPERATURE_STEP_C = 0.02
PULSE_AMPLITUDE = 60.0
"""Of the order of an E4's BVP."""

Signal = NDArray[np.float64]


class SyntheticWristband(Source):
    """Worn by `person` following `script` until it ends.

    Args:
        person: who wears it.
        script: how engaged she is when.
        start_ns: stamp of the first values.
    """

    name = "wristband"

    def __init__(self, person: Person, script: EngagementScript, start_ns: int) -> None:
        super().__init__()
        self._person = person
        self._script = script
        self._start_ns = start_ns
        self._closed = False

    def open(self) -> None:
        """Nothing to open: the signals are made when they are asked for."""

    def close(self) -> None:
        """End the iteration."""
        self._closed = True

    def __iter__(self) -> Iterator[Sample]:
        """In the order of their ends: events and slow signals, then acceleration, then the pulse."""
        wearer = _Wearer(self._person, self._script)
        for chunk in range(int(self._script.duration_s / CHUNK_S)):
            if self._closed:
                break
            stamp_ns = self._start_ns + chunk * round(CHUNK_S * NANOSECONDS_PER_SECOND)
            for source, values, rate_hz in wearer.chunk(chunk):
                self._update(count="received", state=SourceState.STREAMING)
                yield Sample(source, stamp_ns, values.astype(np.float32), rate_hz)
        self._update(state=SourceState.ENDED)


class _Wearer:
    """Heart, skin and hand of a person, a quarter of a second at a time."""

    def __init__(self, person: Person, script: EngagementScript) -> None:
        self._person = person
        self._script = script
        self._generator = generator_for(person, script, "wristband")
        self._wander = Wander(generator_for(person, script, "wristband wander"), channels=6, period_s=(6, 90))
        self._fidgets = Timeline(fidgets(person, script))
        self._utterances = Timeline(utterances(person, script))
        self._tags = self._acts("tags", lambda _: TAGS_PER_MINUTE, 1, CHUNK_S)
        self._responses = self._acts("responses", self._responses_per_minute, 26, CHUNK_S)
        self._pulse_wave = pulse_wave()
        self._response_shape = skin_conductance_response()
        self._recent: deque[tuple[int, float]] = deque()  # chunk and size of each response that still shows
        self._arousal = 0.0
        self._beats = 0.0
        self._moving = self._gesturing = 0.0

    def chunk(self, index: int) -> Iterator[tuple[str, Signal, float]]:
        """Source, values and rate of what begins `index` quarters of a second after the start."""
        time_s = index * CHUNK_S
        self._arousal += (self._script.intensity_at(time_s) - 0.5 - self._arousal) * CHUNK_S / AROUSAL_LAG_S
        arousal = self._person.arousal_shows * self._arousal
        wander = self._wander.at(time_s)
        if index % BATTERY_EVERY_CHUNKS == 0:
            yield "battery", np.array([max(1 - time_s / BATTERY_LIFE_S, 0.0)]), 0
        if self._tags.at(time_s) is not None:
            yield "tag", np.ones(1), 0
        yield "eda", self._skin(index, time_s, arousal, wander[0]), EDA_HZ
        yield "temperature", self._temperature(arousal, wander[1]), TEMPERATURE_HZ
        was_moving, self._moving = self._moving, self._fidgets.amount_at(time_s)
        was_gesturing, self._gesturing = self._gesturing, self._utterances.amount_at(time_s)
        yield "acc", self._hand(time_s, was_moving, was_gesturing, wander[2:5]), ACC_HZ
        yield "bvp", self._pulse(time_s, was_moving, arousal, wander[5]), BVP_HZ

    def _responses_per_minute(self, time_s: float) -> float:
        return 8 + 20 * self._person.arousal_shows * (self._script.intensity_at(time_s) - 0.5)

    def _acts(self, purpose: str, per_minute: Callable[[float], float], most: float, duration_s: float) -> Timeline:
        generator = generator_for(self._person, self._script, purpose)
        return Timeline(acts(generator, per_minute, most, (duration_s, duration_s), self._script.duration_s))

    def _skin(self, index: int, time_s: float, arousal: float, wander: float) -> Signal:
        """(1,) microsiemens: the level, and the responses of the last minute."""
        response = self._responses.at(time_s)
        if response is not None:
            self._recent.append((index, 0.1 + 0.5 * response.strength**2))
        while self._recent and index - self._recent[0][0] >= len(self._response_shape):
            self._recent.popleft()
        phasic = sum(size * self._response_shape[index - begin] for begin, size in self._recent)
        tonic = self._person.skin_conductance * (1 + 0.03 * wander + 0.5 * arousal)
        return np.array([max(tonic + phasic + 0.003 * self._generator.normal(), 0.05)])

    def _temperature(self, arousal: float, wander: float) -> Signal:
        """(1,) degrees Celsius: arousal narrows the vessels of the skin."""
        temperature = self._person.skin_temperature + 0.1 * wander - 0.2 * arousal + 0.01 * self._generator.normal()
        return np.array([round(temperature / TEMPERATURE_STEP_C) * TEMPERATURE_STEP_C])

    def _hand(self, time_s: float, was_moving: float, was_gesturing: float, wander: Signal) -> Signal:
        """(8, 3) g: gravity, the restless hand, the hand that talks along, and noise."""
        count = round(ACC_HZ * CHUNK_S)
        moving = np.linspace(was_moving, self._moving, count, endpoint=False)
        phase = 2 * math.pi * (1.7 * (time_s + np.arange(count) / ACC_HZ))[:, np.newaxis] * np.array((1, 1.31, 0.77))
        gravity = np.array(self._person.wrist_up) + 0.04 * wander
        shaken = 0.16 * moving[:, np.newaxis] * (np.sin(phase) + 0.5 * self._generator.normal(size=(count, 3)))
        gesturing = np.linspace(was_gesturing, self._gesturing, count, endpoint=False)[:, np.newaxis]
        shaken += 0.08 * gesturing * np.sin(0.4 * phase)
        felt = gravity / np.linalg.norm(gravity) + shaken + 0.008 * self._generator.normal(size=(count, 3))
        measured: Signal = np.round(np.clip(felt, -2, 2) / ACC_STEP_G) * ACC_STEP_G
        return measured

    def _pulse(self, time_s: float, was_moving: float, arousal: float, wander: float) -> Signal:
        """(16,) one wave a beat, torn when the hand moves."""
        count = round(BVP_HZ * CHUNK_S)
        breathing = 2 * math.sin(2 * math.pi * 0.25 * time_s)  # the heart follows the breath
        heart_rate = self._person.heart_rate + 36 * arousal + 2 * wander + breathing
        beats = self._beats + np.arange(count) * heart_rate / 60 / BVP_HZ
        self._beats += count * heart_rate / 60 / BVP_HZ
        wave = np.interp(beats % 1, np.linspace(0, 1, len(self._pulse_wave)), self._pulse_wave)
        moving = np.linspace(was_moving, self._moving, count, endpoint=False)
        torn = 0.3 * moving * np.sin(2 * math.pi * 1.7 * (time_s + np.arange(count) / BVP_HZ))
        pulse: Signal = PULSE_AMPLITUDE * (
            (1 - 0.2 * arousal) * wave + torn + 0.02 * self._generator.normal(size=count)
        )
        return pulse


def pulse_wave() -> Signal:
    """(257,) one beat from onset to onset, mean 0, peak to trough about 1.6: the mean of NeuroKit2's waves."""
    rate_hz = 256
    recording = neurokit2.ppg_simulate(
        duration=12,
        sampling_rate=rate_hz,
        heart_rate=60,
        frequency_modulation=0,
        ibi_randomness=0,
        motion_amplitude=0,
        powerline_amplitude=0,
        burst_number=0,
        random_state=1,
    )
    beat = np.mean([recording[second * rate_hz : (second + 1) * rate_hz + 1] for second in range(1, 10)], axis=0)
    closed: Signal = beat - np.linspace(0, beat[-1] - beat[0], len(beat))
    closed -= closed.mean()
    return closed


def skin_conductance_response() -> Signal:
    """(240,) one response of height 1, a minute at 4 Hz.

    NeuroKit2 0.2.12 lays the 90 s of the canonical response (Bach et al. 2010) over 9 s; sampled ten times as often
    it has its published length again.
    """
    recording = neurokit2.eda_simulate(
        duration=9, sampling_rate=10 * EDA_HZ, scr_number=1, noise=0, drift=0, random_state=4
    )
    response = np.asarray(recording[: 60 * EDA_HZ]) - 1.0
    fade = np.minimum(1.0, np.arange(len(response))[::-1] / (10 * EDA_HZ))  # ends at 0, not with a step
    shape: Signal = response * fade / response.max()
    return shape
