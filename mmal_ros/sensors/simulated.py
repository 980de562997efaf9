"""What `synthetic:PERSON/SESSION` means: a simulated person is the same in all of her sessions, what happens is not.

`unlike-7` is person 7 showing engagement in a way of her own: hardly in the face, quiet, fidgeting and leaning back
while she is attentive. The demo's model has met nobody like her, which is what personalisation is for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmal_ros.sensors.synthetic import EngagementScript, Person

SESSION_STRIDE = 1_000_003
"""Between the seeds of two sessions of one person: more than there are people."""
LONGEST_SEED = 9
"""Digits."""
UNLIKE = "unlike-"


def simulated_target(target: str) -> tuple[int, int, bool]:
    """Person (from 0), session (from 1) and whether she is unlike others, of [unlike-]PERSON[/SESSION].

    Raises:
        ValueError: something else was written.
    """
    person, slash, session = target.removeprefix(UNLIKE).partition("/")
    numbers = (person or "0", session if slash else "1")
    if not all(number.isdecimal() and len(number) <= LONGEST_SEED for number in numbers) or int(numbers[1]) == 0:
        raise ValueError(
            "the seed must be a whole number, 0 or more, and a session after it 1 or more, for example synthetic:7/2"
        )
    return int(numbers[0]), int(numbers[1]), target.startswith(UNLIKE)


def simulated_session(person: int, session: int = 1, unlike: bool = False) -> tuple[Person, EngagementScript]:
    """Who is simulated, and how engaged she is when in that session."""
    from mmal_ros.sensors.synthetic import simulated_person

    who, first = simulated_person(person)
    script = first if session == 1 else simulated_person(person + SESSION_STRIDE * (session - 1))[1]
    return _unlike(who) if unlike else who, script


def _unlike(who: Person) -> Person:
    return replace(
        who, face_shows=0.1, body_shows=-who.body_shows, voice_shows=-who.voice_shows, fidgets_when_away=-1.0
    )
