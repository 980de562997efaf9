"""Who is simulated, and how engaged she is when: the truth behind every synthetic sensor."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from mmal_ros.datatypes import Level

SEGMENT_S = (6.0, 20.0)
"""Shortest and longest stretch of one level in a random script."""
TRANSITION_S = 2.0
"""How long the change from one level to the next takes, centred on the boundary."""
INTENSITY = {Level.LOW: 0.1, Level.MEDIUM: 0.5, Level.HIGH: 0.9}
NEXT_LEVEL = {
    Level.HIGH: {Level.MEDIUM: 0.75, Level.LOW: 0.25},  # attention drifts rather than breaks
    Level.MEDIUM: {Level.HIGH: 0.5, Level.LOW: 0.5},
    Level.LOW: {Level.MEDIUM: 0.6, Level.HIGH: 0.4},  # called back by the robot
}
"""Chance of each level after each: over a long time 32 % attentive, 40 % drifting, 28 % away."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one level; HIGH is attentive, MEDIUM drifting, LOW away."""

    start_s: float
    end_s: float
    level: Level


@dataclass(frozen=True)
class EngagementScript:
    """Engagement over the time of a session: segments without gaps from 0 on, each at least `TRANSITION_S` long.

    Raises:
        ValueError: when the segments are none, too short, or do not join.
    """

    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        if not self.segments:
            raise ValueError("a script needs at least one segment")
        end_s = 0.0
        for segment in self.segments:
            if segment.start_s != end_s:
                raise ValueError(f"a segment starts at {segment.start_s} s, expected {end_s} s: no gaps, no overlaps")
            end_s = segment.end_s
            if end_s - segment.start_s < TRANSITION_S:
                raise ValueError(f"the segment at {segment.start_s} s is shorter than {TRANSITION_S} s")

    @classmethod
    def random(cls, seed: int, duration_s: float) -> Self:
        """A slow process with segments of 6 to 20 s; of a session shorter than 6 s only one."""
        generator = np.random.default_rng([seed, 1])
        level = Level(int(generator.integers(len(Level))))
        segments: list[Segment] = []
        start_s = 0.0
        while start_s < duration_s:
            end_s = start_s + float(generator.uniform(*SEGMENT_S))
            if duration_s - end_s < SEGMENT_S[0]:  # the rest would be too short for a segment of its own
                end_s = duration_s
            segments.append(Segment(start_s, end_s, level))
            start_s = end_s
            following = NEXT_LEVEL[level]
            level = Level(int(generator.choice(list(following), p=list(following.values()))))
        return cls(tuple(segments))

    @property
    def duration_s(self) -> float:
        """The end of the last segment."""
        return self.segments[-1].end_s

    def level_at(self, time_s: float) -> Level:
        """The true level; before the start the first one, after the end the last one."""
        return self.segments[self._index(time_s)].level

    def intensity_at(self, time_s: float) -> float:
        """The same as a smooth number, 0 away to 1 attentive: what the behaviour follows."""
        index = self._index(time_s)
        own = self.segments[index]
        intensity = INTENSITY[own.level]
        if index and time_s - own.start_s < TRANSITION_S / 2:
            return _blend(INTENSITY[self.segments[index - 1].level], intensity, time_s - own.start_s)
        if index + 1 < len(self.segments) and own.end_s - time_s < TRANSITION_S / 2:
            return _blend(intensity, INTENSITY[self.segments[index + 1].level], time_s - own.end_s)
        return intensity

    def _index(self, time_s: float) -> int:
        return max(bisect_right(self._starts_s, time_s) - 1, 0)

    @cached_property
    def _starts_s(self) -> list[float]:
        return [segment.start_s for segment in self.segments]


def _blend(before: float, after: float, since_boundary_s: float) -> float:
    """Smoothstep from one intensity to the other over `TRANSITION_S` around the boundary."""
    share = 0.5 + since_boundary_s / TRANSITION_S
    return before + (after - before) * share * share * (3 - 2 * share)


@dataclass(frozen=True, slots=True)
class Person:
    """One simulated person: looks, resting state, and how much each modality gives away."""

    seed: int
    # How strongly engagement shows, 0 not at all to 1 plainly. Movement differs in sign too: some people
    # freeze when they are away.
    face_shows: float
    body_shows: float
    voice_shows: float
    arousal_shows: float
    fidgets_when_away: float
    # Looks, and place in the picture.
    mirrored: bool
    size: float
    """Pixels of the picture per pixel of the portrait."""
    place_px: float
    """How far right of the middle she sits."""
    wall_bgr: tuple[float, float, float]
    brightness: float
    head_yaw_deg: float
    head_pitch_deg: float
    smile: float
    # Voice.
    talkativeness: float
    voice_pitch_hz: float
    voice_level: float
    """Root mean square of speech, share of full scale."""
    vocal_tract: float
    """Scales the formants: 1 an adult man, 1.3 a child."""
    syllables_per_s: float
    # Wrist.
    heart_rate: float
    """Beats per minute at rest."""
    skin_conductance: float
    """Microsiemens at rest."""
    skin_temperature: float
    """Degrees Celsius."""
    wrist_up: tuple[float, float, float]
    """Unit vector: gravity as the resting wristband feels it."""

    @classmethod
    def random(cls, seed: int) -> Self:
        """A person drawn from a wide but plausible range; the same seed gives the same person."""
        generator = np.random.default_rng([seed, 2])

        def between(low: float, high: float) -> float:
            return float(generator.uniform(low, high))

        up = generator.normal((0.3, 0.1, 0.9), 0.25)
        up /= np.linalg.norm(up)
        return cls(
            seed=seed,
            face_shows=between(0.5, 1.0),
            body_shows=between(0.5, 1.0),
            voice_shows=between(0.6, 1.0),
            arousal_shows=between(0.1, 1.0),
            fidgets_when_away=between(-0.2, 1.0),
            mirrored=bool(generator.random() < 0.5),
            size=between(1.0, 1.2),
            place_px=between(-50, 50),
            wall_bgr=(between(150, 205), between(160, 205), between(165, 205)),
            brightness=between(0.8, 1.1),
            head_yaw_deg=between(-6, 6),
            head_pitch_deg=between(-4, 4),
            smile=between(-0.4, 0.4),
            talkativeness=between(0.75, 1.2),
            voice_pitch_hz=between(130, 300),
            voice_level=between(0.05, 0.15),
            vocal_tract=between(1.0, 1.3),
            syllables_per_s=between(3.2, 5.0),
            heart_rate=between(74, 90),
            skin_conductance=between(2.0, 6.0),
            skin_temperature=between(31.5, 35.0),
            wrist_up=(float(up[0]), float(up[1]), float(up[2])),
        )


SESSION_S = 3600.0
"""How long a simulated session lasts when nobody stops it."""


def simulated_person(seed: int, duration_s: float = SESSION_S) -> tuple[Person, EngagementScript]:
    """The person and the script that `synthetic:SEED` means."""
    return Person.random(seed), EngagementScript.random(seed, duration_s)
