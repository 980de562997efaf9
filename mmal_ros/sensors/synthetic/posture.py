"""How a person holds and moves head, face and body, moment by moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmal_ros.sensors.synthetic.behaviour import (
    Timeline,
    Wander,
    acts,
    fidgets,
    generator_for,
    syllables_per_s,
    utterances,
)
from mmal_ros.sensors.synthetic.person import EngagementScript, Person


@dataclass(frozen=True, slots=True)
class Posture:
    """What the portrait shall show. Sideways is positive to the right of the picture, upwards is positive."""

    turn_deg: float
    nod_deg: float
    """Positive: the chin goes down."""
    tilt_deg: float
    gaze_x: float
    """-1 to 1, corner of the eye to corner of the eye."""
    gaze_y: float
    """-1 down to 1 up."""
    blink: float
    """0 open to 1 closed."""
    brows: float
    """-1 lowered to 1 raised."""
    smile: float
    """-1 to 1; 0 is the portrait's own."""
    jaw: float
    """0 closed to 1 open."""
    nearness: float
    """Size against the resting size: above 1 is leaning towards the camera."""
    shift_px: float
    """Sideways."""
    slump_px: float
    """Downwards."""
    sway_deg: float
    """Of the whole body, clockwise."""


class Poser:
    """Turns a script into postures; ask at times that never go back."""

    def __init__(self, person: Person, script: EngagementScript) -> None:
        self._person = person
        self._script = script
        self._utterances = Timeline(utterances(person, script))
        self._fidgets = Timeline(fidgets(person, script))
        self._glances = self._timeline("glances", lambda engaged: 16 - 30 * person.face_shows * engaged, 30, (0.7, 3.5))
        self._blinks = self._timeline("blinks", lambda engaged: 18 - 10 * engaged, 24, (0.2, 0.3))
        self._absences = self._timeline("absences", lambda engaged: -6 * engaged, 3, (2.0, 4.0))
        self._wander = Wander(generator_for(person, script, "wander"), channels=11)

    def posture_at(self, time_s: float) -> Posture:
        """The posture at a time of the script in seconds."""
        person = self._person
        wander = self._wander.at(time_s)
        engaged = self._script.intensity_at(time_s) - 0.5  # -0.4 to 0.4
        face, body = engaged * person.face_shows, engaged * person.body_shows
        glance, glance_side = self._glance_at(time_s)
        fidget = self._fidgets.amount_at(time_s)
        absence = self._absences.at(time_s)
        gone = 0.0 if absence is None else absence.amount_at(time_s) * math.copysign(1, absence.side)
        return Posture(
            turn_deg=float(np.clip(person.head_yaw_deg + 4 * wander[0] + 26 * glance * glance_side, -32, 32)),
            nod_deg=person.head_pitch_deg + 2.5 * wander[1] - 4 * face + 5 * glance,
            tilt_deg=3 * wander[2],
            gaze_x=float(np.clip(0.25 * wander[3] + 1.3 * glance * glance_side, -1, 1)),
            gaze_y=float(np.clip(0.25 * wander[4] + 0.45 * face - 0.5 * glance, -1, 1)),
            blink=min(self._blinks.amount_at(time_s) + max(-0.3 * face, 0), 1.0),
            brows=0.3 * wander[5] + 0.5 * face,
            smile=float(np.clip(person.smile + 0.35 * wander[6] + 0.7 * face, -1, 1)),
            jaw=self._jaw_at(time_s),
            nearness=1 + 0.025 * wander[7] + 0.1 * body,
            shift_px=12 * wander[8] + 260 * gone,
            slump_px=8 * wander[9] - 24 * body + 2 * math.sin(2 * math.pi * time_s / 4),  # breathing
            sway_deg=1.2 * wander[10] + 4 * fidget * math.sin(2 * math.pi * 0.8 * time_s) + 8 * gone,
        )

    def _timeline(
        self, purpose: str, per_minute: Callable[[float], float], most: float, duration_s: tuple[float, float]
    ) -> Timeline:
        """Acts whose number per minute depends on the engagement, -0.4 to 0.4."""
        generator = generator_for(self._person, self._script, purpose)

        def rate_at(time_s: float) -> float:
            return per_minute(self._script.intensity_at(time_s) - 0.5)

        return Timeline(acts(generator, rate_at, most, duration_s, self._script.duration_s))

    def _glance_at(self, time_s: float) -> tuple[float, float]:
        """How far she is looking away, 0-1, and to which side, -1 to 1."""
        glance = self._glances.at(time_s)
        if glance is None:
            return 0.0, 0.0
        side = math.copysign(0.4 + 0.6 * abs(glance.side), glance.side)
        return glance.amount_at(time_s) * (0.4 + 0.6 * glance.strength), side

    def _jaw_at(self, time_s: float) -> float:
        """Opens once per syllable while she speaks."""
        utterance = self._utterances.at(time_s)
        if utterance is None:
            return 0.0
        phase = (time_s - utterance.start_s) * syllables_per_s(self._person, utterance)
        return utterance.amount_at(time_s) * abs(math.sin(math.pi * phase)) * (0.5 + 0.5 * utterance.strength)
