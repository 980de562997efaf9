"""What `synthetic:PERSON/SESSION` means: a simulated person is the same in all of her sessions, what happens is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmal_ros.sensors.synthetic import EngagementScript, Person

SESSION_STRIDE = 1_000_003
"""Between the seeds of two sessions of one person: more than there are people."""


def simulated_target(target: str) -> tuple[int, int]:
    """The numbers of a person (from 0) and of her session (from 1) in PERSON or PERSON/SESSION; raises ValueError."""
    person, slash, session = target.partition("/")
    numbers = (person or "0", session if slash else "1")
    if not all(number.isdecimal() for number in numbers) or int(numbers[1]) == 0:
        raise ValueError(
            "the seed must be a whole number, 0 or more, and a session after it 1 or more, for example synthetic:7/2"
        )
    return int(numbers[0]), int(numbers[1])


def simulated_session(person: int, session: int = 1) -> tuple[Person, EngagementScript]:
    """Who is simulated, and how engaged she is when in that session."""
    from mmal_ros.sensors.synthetic import simulated_person

    who, first = simulated_person(person)
    return who, first if session == 1 else simulated_person(person + SESSION_STRIDE * (session - 1))[1]
