"""What a computer beside a robot hears in a long day: four modalities at their rates, and what goes wrong with them.

Numbers are made up around the scale of a model set's card, so that classifiers and selector see what they were made
for. Sensors fall silent for seconds or a minute, a face goes out of the picture, frames get lost, come late, come twice
or are broken, and every forty minutes the clock is set, by turns five seconds ahead and back. No clock is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import count

import cv2
import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, FloatArray, Modality
from mmal_ros.model_card import ModelCard
from mmal_ros.window_vectors import scale_of_card

MINUTE_NS = 60 * NANOSECONDS_PER_SECOND
RATES_HZ = {Modality.FACE: 30, Modality.BODY: 15, Modality.PHYSIOLOGY: 10, Modality.AUDIO: 10}
DELAY_NS = {
    Modality.FACE: 20_000_000,
    Modality.BODY: 28_000_000,
    Modality.PHYSIOLOGY: 150_000_000,  # comes in packets
    Modality.AUDIO: 30_000_000,
}
PICTURE_HZ, SOUND_HZ, SOUND_RATE_HZ = 15, 10, 16_000
CLOCK_SET_EVERY_NS, CLOCK_SET_BY_NS = 40 * MINUTE_NS, 5 * NANOSECONDS_PER_SECOND
LOST, ODD = 0.01, 0.001
"""Shares of the frames."""
SHORT_GAP, WHOLE_MINUTE, NOTHING_TO_MEASURE = 0.1, 0.01, 0.1
"""How likely each is in a minute of a modality."""
VERY_LATE_NS = 6 * NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG of the camera."""

    stamp_ns: int
    jpeg: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A tenth of a second of the microphone."""

    stamp_ns: int
    values: FloatArray


Heard = FeatureFrame | Picture | Sound


class SimulatedDay:
    """Everything that comes in, by (what the clock says, what comes), without an end."""

    def __init__(self, card: ModelCard, start_ns: int, seed: int = 0) -> None:
        """Begin at `start_ns`, for the feature sets of a model set."""
        self._card = card
        self._scale = scale_of_card(card)
        self._start_ns = start_ns
        self._seed = seed
        self.since_ns = 0
        """How long it has been going on, by a clock that nobody sets."""
        blank = np.full((48, 64, 3), 90, np.uint8)
        self._jpegs = [cv2.imencode(".jpg", np.roll(blank, n) + n)[1].tobytes() for n in range(PICTURE_HZ)]
        self._hiss = np.random.default_rng(seed).normal(0, 0.1, SOUND_RATE_HZ // SOUND_HZ).astype(np.float32)

    def __iter__(self) -> Iterator[tuple[int, Heard]]:
        streams = [*(self._frames(modality) for modality in Modality), self._pictures(), self._sounds()]
        for true_ns, heard in merge(*streams, key=lambda one: one[0]):
            self.since_ns = true_ns
            yield self.clock_ns(true_ns), heard

    def clock_ns(self, true_ns: int) -> int:
        """What the clock says so long after the beginning."""
        ahead = true_ns // CLOCK_SET_EVERY_NS % 2
        return self._start_ns + true_ns + ahead * CLOCK_SET_BY_NS

    def _pictures(self) -> Iterator[tuple[int, Heard]]:
        for number in count():
            true_ns = number * NANOSECONDS_PER_SECOND // PICTURE_HZ
            yield true_ns, Picture(self.clock_ns(true_ns), self._jpegs[number % PICTURE_HZ])

    def _sounds(self) -> Iterator[tuple[int, Heard]]:
        for number in count():
            true_ns = number * NANOSECONDS_PER_SECOND // SOUND_HZ
            yield true_ns, Sound(self.clock_ns(true_ns), self._hiss)

    def _frames(self, modality: Modality) -> Iterator[tuple[int, Heard]]:
        """Those of one modality in the order in which they come, also from one minute to the next."""
        late: list[tuple[int, Heard]] = []
        for minute in count():
            arrivals = sorted([*late, *self._minute(modality, minute)], key=lambda one: one[0])
            end_ns = (minute + 1) * MINUTE_NS
            late = [one for one in arrivals if one[0] >= end_ns]
            yield from (one for one in arrivals if one[0] < end_ns)

    def _minute(self, modality: Modality, minute: int) -> Iterator[tuple[int, Heard]]:
        random = np.random.default_rng([self._seed, minute, list(Modality).index(modality)])
        rate_hz, mean = RATES_HZ[modality], self._scale.mean[modality]
        number = 60 * rate_hz
        mood = np.cumsum(random.normal(0, 0.05, (number, 1)), axis=0)
        noise = random.normal(0, 0.7, (number, len(mean)))
        values = (mean + self._scale.deviation[modality] * (mood + noise)).astype(np.float32)
        kept = random.random(number) >= LOST
        kept[_stretch(random, number, SHORT_GAP)] = False
        kept &= random.random() >= WHOLE_MINUTE
        valid = np.ones(number, bool)
        valid[_stretch(random, number, NOTHING_TO_MEASURE)] = False
        odd = random.random(number) < ODD
        for place in np.flatnonzero(kept):
            true_ns = minute * MINUTE_NS + int(place) * NANOSECONDS_PER_SECOND // rate_hz
            frame = self._frame(modality, true_ns, values[place], bool(valid[place]))
            arrival_ns = true_ns + DELAY_NS[modality] + int(random.integers(0, 8_000_000))
            yield from self._oddly(random, arrival_ns, frame) if odd[place] else [(arrival_ns, frame)]

    def _frame(self, modality: Modality, true_ns: int, values: FloatArray, valid: bool) -> FeatureFrame:
        values = values if valid else np.zeros_like(values)
        feature_set = self._card.feature_sets[modality]
        return FeatureFrame(modality, self.clock_ns(true_ns), values, valid, float(valid), feature_set)

    def _oddly(self, random: np.random.Generator, at_ns: int, frame: FeatureFrame) -> Iterator[tuple[int, Heard]]:
        """As frames come in the field: twice, very late, or broken."""
        kind = random.integers(3)
        if kind == 0:
            yield from ((at_ns, frame), (at_ns + 1_000_000, frame))
        elif kind == 1:
            yield at_ns + VERY_LATE_NS, frame
        else:
            broken = np.full_like(frame.values, np.nan)
            yield at_ns, FeatureFrame(frame.modality, frame.stamp_ns, broken, True, 1.0, frame.feature_set)


def _stretch(random: np.random.Generator, number: int, likely: float) -> slice:
    """Up to half a minute of a minute's frames, now and then."""
    if random.random() >= likely:
        return slice(0, 0)
    first, length = random.integers(number), random.integers(1, number // 2)
    return slice(int(first), int(first + length))
