"""A microphone that hears a synthetic person: source-filter speech in a room that is never quite silent.

Speech is made as in Fant's source-filter model: glottal pulses with a pitch contour, jitter and shimmer, shaped by four
formant resonators per syllable. It means nothing, and it measures like a voice.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors.source import Source, SourceState
from mmal_ros.sensors.synthetic.behaviour import Act, Timeline, fidgets, generator_for, syllables_per_s, utterances
from mmal_ros.sensors.synthetic.person import EngagementScript, Person

VOWELS_HZ = ((730, 1090), (530, 1840), (270, 2290), (570, 840), (300, 870), (660, 1720))
"""First and second formant of men's a, e, i, o, u, ae (Peterson & Barney 1952, table II)."""
UPPER_FORMANTS_HZ = (2500, 3500)
BANDWIDTHS_HZ = (80, 100, 140, 200)
JITTER = 0.012
JITTER_STEP_S = 0.005
SHIMMER = 0.06
ROOM_LEVEL = 0.0015
"""Root mean square of the room's noise, share of full scale: 56 dB below it."""
RUSTLING_LEVEL = 0.007
BREATH = 0.03

Signal = NDArray[np.float64]


class SyntheticMicrophone(Source):
    """Hears `person` following `script` until it ends.

    Args:
        person: who speaks.
        script: how engaged she is when; attentive people answer often and lively, others murmur or are silent.
        start_ns: stamp of the first value.
        rate_hz: values per second.
        block_ms: length of one sample.
    """

    name = "microphone"

    def __init__(
        self, person: Person, script: EngagementScript, start_ns: int, rate_hz: int = 16_000, block_ms: int = 20
    ) -> None:
        super().__init__()
        self._person = person
        self._script = script
        self._start_ns = start_ns
        self._rate_hz = rate_hz
        self._block = rate_hz * block_ms // 1000
        self._closed = False

    def open(self) -> None:
        """Nothing to open: the sound is made when it is asked for."""

    def close(self) -> None:
        """End the iteration."""
        self._closed = True

    def __iter__(self) -> Iterator[Sample]:
        room = _Room(generator_for(self._person, self._script, "room"), Timeline(fidgets(self._person, self._script)))
        speech = _Speech(self._person, self._script, self._rate_hz)
        for index in range(int(self._script.duration_s * self._rate_hz) // self._block):
            if self._closed:
                break
            first = index * self._block
            heard = room.noise(first / self._rate_hz, self._block) + speech.between(first, first + self._block)
            self._update(count="received", state=SourceState.STREAMING)
            stamp_ns = self._start_ns + round(first * NANOSECONDS_PER_SECOND / self._rate_hz)
            yield Sample("microphone", stamp_ns, np.clip(heard, -1, 1).astype(np.float32), self._rate_hz)
        self._update(state=SourceState.ENDED)


class _Room:
    """A ventilator, low-passed white noise, and the rustling of clothes while the person fidgets."""

    POLE = 0.9

    def __init__(self, generator: np.random.Generator, fidgets: Timeline) -> None:
        self._generator = generator
        self._fidgets = fidgets
        self._memory = np.zeros(1)

    def noise(self, time_s: float, length: int) -> Signal:
        white = self._generator.normal(0, ROOM_LEVEL * np.sqrt(1 - self.POLE**2), length)
        noise: Signal
        noise, self._memory = signal.lfilter([1], [1, -self.POLE], white, zi=self._memory)
        rustling = RUSTLING_LEVEL * self._fidgets.amount_at(time_s) * self._generator.normal(size=length)
        return noise + rustling


class _Speech:
    """All utterances as one signal, of which only the present one is held."""

    def __init__(self, person: Person, script: EngagementScript, rate_hz: int) -> None:
        self._person = person
        self._script = script
        self._rate_hz = rate_hz
        self._generator = generator_for(person, script, "speech")
        self._coming = utterances(person, script)
        self._first = 0
        self._voice: Signal = np.zeros(0)

    def between(self, first: int, end: int) -> Signal:
        """The values from `first` to before `end`; ask without going back."""
        heard = np.zeros(end - first)
        while self._first < end:
            begin, stop = max(first, self._first), min(end, self._first + len(self._voice))
            if begin < stop:
                heard[begin - first : stop - first] = self._voice[begin - self._first : stop - self._first]
            if stop >= end or not self._take_next():
                break
        return heard

    def _take_next(self) -> bool:
        utterance = next(self._coming, None)
        if utterance is None:
            self._voice = np.zeros(0)
            return False
        self._first = round(utterance.start_s * self._rate_hz)
        engaged = self._person.voice_shows * (self._script.intensity_at(utterance.start_s) - 0.5)
        liveliness = float(np.clip(0.5 + engaged + 0.1 * self._generator.normal(), 0.05, 1))
        self._voice = speak(self._generator, self._person, utterance, liveliness, self._rate_hz)
        return True


def speak(generator: np.random.Generator, person: Person, utterance: Act, liveliness: float, rate_hz: int) -> Signal:
    """(n,) one utterance; `liveliness` 0-1 from a flat murmur to loud speech with a wide melody."""
    length = round(utterance.duration_s * rate_hz)
    source = _voiced(generator, _melody(generator, person, liveliness, length, rate_hz), rate_hz)
    spoken = np.zeros(length)
    step = rate_hz / syllables_per_s(person, utterance)
    for begin in np.arange(0, length - step / 2, step):
        part = slice(round(begin), min(round(begin + step), length))
        spoken[part] = _syllable(generator, person, source[part], rate_hz)
    level = person.voice_level * (0.1 + 1.2 * liveliness)
    loud: Signal = spoken * level / _rms(spoken)
    return loud


def _melody(generator: np.random.Generator, person: Person, liveliness: float, length: int, rate_hz: int) -> Signal:
    """Pitch in Hertz at every value: it sinks by two semitones and swings with the liveliness."""
    time_s = np.arange(length) / rate_hz
    swing = np.sin(2 * np.pi * (generator.uniform(0.6, 1.4) * time_s + generator.random()))
    semitones = 0.5 + 5 * liveliness * swing - 2 * time_s / time_s[-1] + 3 * (liveliness - 0.5)
    knots_s = np.arange(0, time_s[-1] + JITTER_STEP_S, JITTER_STEP_S)
    wobble = np.interp(time_s, knots_s, generator.normal(0, JITTER, len(knots_s)))
    melody: Signal = person.voice_pitch_hz * 2 ** (semitones / 12) * (1 + wobble)
    return melody


def _voiced(generator: np.random.Generator, pitch_hz: Signal, rate_hz: int) -> Signal:
    """Glottal pulses as they leave the lips: falling by 6 dB an octave, with a little breath."""
    cycles = np.floor(np.cumsum(pitch_hz) / rate_hz)
    pulses = np.diff(cycles, prepend=0.0)
    pulses *= 1 + SHIMMER * generator.normal(size=len(pulses))
    glottal: Signal = signal.lfilter([1, -1], [1, -1.9, 0.9025], pulses)
    return glottal + BREATH * generator.normal(size=len(pulses))


def _syllable(generator: np.random.Generator, person: Person, source: Signal, rate_hz: int) -> Signal:
    """A vowel, often after a consonant, rising and falling."""
    formants = person.vocal_tract * np.array((*VOWELS_HZ[generator.integers(len(VOWELS_HZ))], *UPPER_FORMANTS_HZ))
    vowel: Signal = signal.sosfilt(_resonators(formants, rate_hz), source)
    envelope = np.sin(np.pi * (np.arange(len(source)) + 0.5) / len(source)) ** 0.7
    syllable: Signal = vowel / _rms(vowel) * envelope + _consonant(generator, len(source), rate_hz)
    return syllable


def _consonant(generator: np.random.Generator, length: int, rate_hz: int) -> Signal:
    """40 ms of hiss at the beginning of two syllables in three."""
    hiss = np.zeros(length)
    burst = min(round(0.04 * rate_hz), length)
    if generator.random() < 2 / 3:
        hiss[:burst] = np.diff(generator.normal(0, 0.15, burst + 1)) * np.hanning(burst)
    return hiss


def _resonators(formants_hz: Signal, rate_hz: int) -> Signal:
    """(4, 6) second-order sections with unit gain at 0 Hertz (Klatt 1980, eq. 2)."""
    radius = np.exp(-np.pi * np.array(BANDWIDTHS_HZ) / rate_hz)
    first = 2 * radius * np.cos(2 * np.pi * np.minimum(formants_hz, 0.47 * rate_hz) / rate_hz)
    second = -(radius**2)
    zeros, ones = np.zeros(4), np.ones(4)
    return np.stack([1 - first - second, zeros, zeros, ones, -first, -second], axis=1)


def _rms(values: Signal) -> float:
    """Root mean square; never 0."""
    return float(np.sqrt(np.mean(values**2))) + 1e-9
