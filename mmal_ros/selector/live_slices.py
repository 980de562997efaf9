"""The expected session, cut into as many slices as there are labels left, while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from mmal_ros.selector.live_vocabulary import Room


@dataclass(frozen=True, slots=True)
class Slice:
    """Windows first to end - 1 of the session."""

    first: int
    end: int

    @property
    def length(self) -> int:
        """In windows, 1 or more."""
        return self.end - self.first


class Slices:
    """Which slice of the session is running.

    When one ends, what is expected to be left of the session is shared anew among the labels that are left: so a
    slice in which nothing was heard, or a flag that was taken back, costs no label, and what a person flags makes the
    slices after it longer. If nothing interferes they are those of `strategies.slices`. With no label left, which is so
    beyond the expected end, slices go on as if the session ended now, so they grow with it: late ones are not favoured.
    """

    def __init__(self) -> None:
        self.running = Slice(0, 0)

    def at(self, room: Room) -> Slice:
        """The slice of the window that has come."""
        if room.elapsed >= self.running.end:
            self.running = Slice(room.elapsed, room.elapsed + _length(room))
        return self.running


def _length(room: Room) -> int:
    remaining = room.expected - room.elapsed
    if room.left and remaining > 0:
        return -(-remaining // room.left)
    return -(-max(room.expected, room.elapsed) // max(1, room.budget))
