"""What a person does while she is more or less engaged: the acts that several sensors notice.

Everything is drawn from generators that are seeded by person, script and purpose, so each sensor can draw the same
acts for itself, lazily, in the order of time.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmal_ros.sensors.synthetic.person import EngagementScript, Person

RAMP_S = 0.35
"""How long an act takes to begin and to end."""


def generator_for(person: Person, script: EngagementScript, purpose: str) -> np.random.Generator:
    """An independent stream of randomness for one purpose in one session of one person."""
    return np.random.default_rng(
        [person.seed, zlib.crc32(repr(script.segments).encode()), zlib.crc32(purpose.encode())]
    )


@dataclass(frozen=True, slots=True)
class Act:
    """Something done for a while: a glance, an utterance, a fidget."""

    start_s: float
    duration_s: float
    strength: float
    """0-1."""
    side: float
    """-1 to 1: which way."""

    def amount_at(self, time_s: float) -> float:
        """0-1: rises and falls smoothly at both ends, 0 outside."""
        nearest_end_s = min(time_s - self.start_s, self.start_s + self.duration_s - time_s)
        share = min(max(nearest_end_s / min(RAMP_S, self.duration_s / 2), 0.0), 1.0)
        return share * share * (3 - 2 * share)


def acts(
    generator: np.random.Generator,
    per_minute: Callable[[float], float],
    most_per_minute: float,
    duration_s: tuple[float, float],
    until_s: float,
) -> Iterator[Act]:
    """Acts at random moments, one after the other: a Poisson process of varying rate, thinned (Lewis & Shedler 1979).

    `per_minute` is the rate at a time in seconds, at most `most_per_minute`.
    """
    time_s = 0.0
    while True:
        time_s += float(generator.exponential(60 / most_per_minute))
        chance, length, strength, side = generator.random(4)
        if time_s >= until_s:
            return
        if chance * most_per_minute < per_minute(time_s):
            act = Act(time_s, duration_s[0] + (duration_s[1] - duration_s[0]) * length, strength, 2 * side - 1)
            yield act
            time_s += act.duration_s


class Timeline:
    """The act that is going on, asked for at times that never go back."""

    def __init__(self, acts: Iterator[Act]) -> None:
        self._acts = acts
        self._next = next(acts, None)

    def at(self, time_s: float) -> Act | None:
        """The act that has begun and not ended by then."""
        while self._next is not None and time_s >= self._next.start_s + self._next.duration_s:
            self._next = next(self._acts, None)
        return self._next if self._next is not None and time_s >= self._next.start_s else None

    def amount_at(self, time_s: float) -> float:
        """How far the act that is going on is under way, 0-1; 0 without one."""
        act = self.at(time_s)
        return 0.0 if act is None else act.amount_at(time_s)


class Wander:
    """Slow, aimless variation around 0 with a deviation of about 1: sums of sines, known at any time without state."""

    WAVES = 6

    def __init__(
        self, generator: np.random.Generator, channels: int, period_s: tuple[float, float] = (2.5, 40)
    ) -> None:
        shortest, longest = period_s
        periods = shortest * (longest / shortest) ** generator.random((channels, self.WAVES))
        self._frequencies = 2 * math.pi / periods
        self._phases = generator.uniform(0, 2 * math.pi, (channels, self.WAVES))

    def at(self, time_s: float) -> NDArray[np.float64]:
        """(channels,)."""
        waves: NDArray[np.float64] = np.sin(self._frequencies * time_s + self._phases)
        wandered: NDArray[np.float64] = waves.sum(axis=1) * math.sqrt(2 / self.WAVES)
        return wandered


def utterances(person: Person, script: EngagementScript) -> Iterator[Act]:
    """When she speaks: often while attentive, hardly while away. Heard by the microphone, seen at the mouth."""

    def per_minute(time_s: float) -> float:
        eagerness = 0.5 + person.voice_shows * (script.intensity_at(time_s) - 0.5)
        return person.talkativeness * 140 * eagerness**2

    return acts(generator_for(person, script, "utterances"), per_minute, 140, (0.6, 2.2), script.duration_s)


def syllables_per_s(person: Person, utterance: Act) -> float:
    """The rhythm of one utterance: its n-th syllable begins n / rate after it."""
    return person.syllables_per_s * (0.8 + 0.4 * utterance.strength)


def fidgets(person: Person, script: EngagementScript) -> Iterator[Act]:
    """When she moves her hands and shifts about. Felt at the wrist, seen as swaying, heard as rustling."""

    def per_minute(time_s: float) -> float:
        return 12 + 50 * person.fidgets_when_away * (0.5 - script.intensity_at(time_s))

    return acts(generator_for(person, script, "fidgets"), per_minute, 32, (0.8, 3.0), script.duration_s)
