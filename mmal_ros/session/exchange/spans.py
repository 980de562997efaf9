"""The vocabulary of the exchange: stretches of a session, counted in ms from its start, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mmal_ros.session.card import SessionError
from mmal_ros.session.records import WINDOW_NS, LabelValue

NANOSECONDS_PER_MILLISECOND = 1_000_000
LONGEST_MS = 366 * 24 * 3600 * 1000
"""A year: somebody may write a large number for "to the end", and what is larger is no time."""
_WORDS = {
    **{value.value: value for value in LabelValue},
    **{str(key): value for key, value in enumerate(LabelValue, start=1)},
}


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, in ms from the session's start; not empty."""

    start_ms: int
    end_ms: int

    @property
    def middle_ms(self) -> float:
        """Half way."""
        return (self.start_ms + self.end_ms) / 2

    def equals(self, other: Span) -> bool:
        """Whether both are the same but for rounding."""
        return abs(self.start_ms - other.start_ms) <= 1 and abs(self.end_ms - other.end_ms) <= 1


@dataclass(frozen=True, slots=True)
class Said:
    """What a coder says of a stretch of time, as it stands in a file."""

    span: Span
    text: str
    note: str
    place: str
    """Where in the file, for whoever has to mend it: `annotation a12 of tier C1`, `line 4`."""


def window_span(stamp_ns: int, session_start_ns: int) -> Span:
    """The window that ends at a stamp; what of it is before the session's start is cut off."""
    end_ms = round((stamp_ns - session_start_ns) / NANOSECONDS_PER_MILLISECOND)
    start_ms = round((stamp_ns - WINDOW_NS - session_start_ns) / NANOSECONDS_PER_MILLISECOND)
    return Span(max(0, start_ms), max(1, end_ms))


def value_of(said: Said) -> LabelValue:
    """The label that a text is: one of the five words in any case, or 1 to 5 as on the review page's keys.

    Raises:
        SessionError: it is none of them; the message names the place.
    """
    word = said.text.strip().lower().replace(" ", "_").replace("-", "_")
    if word not in _WORDS:
        raise SessionError(
            f"{said.place}: '{said.text.strip()[:40]}' is no label; "
            f"expected {', '.join(LabelValue)}, or 1 to {len(LabelValue)}"
        )
    return _WORDS[word]


class _Stretch(Protocol):
    @property
    def span(self) -> Span: ...


Stretch = TypeVar("Stretch", bound=_Stretch)


def lanes(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    """Spread over as few lanes as needed, so that in none of them two overlap: a tier of ELAN cannot hold both."""
    found: list[list[Stretch]] = []
    for stretch in sorted(stretches, key=lambda one: one.span.start_ms):
        free = (lane for lane in found if lane[-1].span.end_ms <= stretch.span.start_ms)
        lane = next(free, None)
        if lane is None:
            found.append(lane := [])
        lane.append(stretch)
    return found
