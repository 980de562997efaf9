"""When the next estimate is due: at a steady rate, as soon as everything measured before it has come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, STEPS_PER_WINDOW, Modality

DEFAULT_MAX_DELAY_NS = 40_000_000
"""A camera frame takes 10-30 ms to become features on two cores; who is slower than this is not waited for."""
SILENT_NS = STEPS_PER_WINDOW * STEP_NS
"""A modality without a frame for this long is not waited for: it is missing in the window, and one frame of it, come
back, would still be too few to vote. So an estimate never depends on how fast the first frame after a gap came."""
JUMP_NS = NANOSECONDS_PER_SECOND
"""A clock that differs this much from what is expected was set, or the process slept."""
Item = TypeVar("Item")
EXPECTED_SHARE = 0.9
"""The next frame is not expected before this share of the shortest recent interval: room for a camera's jitter (3 ms
at 30 Hz). A frame that is still earlier counts in the windows after."""


class Arrivals:
    """The newest frame of one modality, how far apart its frames are, and how late they come."""

    def __init__(self, max_delay_ns: int) -> None:
        self._max_delay_ns = max_delay_ns
        self._newest_ns: int | None = None
        self._intervals: deque[int] = deque(maxlen=4)
        self._delays: deque[int] = deque(maxlen=8)

    def note(self, stamp_ns: int, now_ns: int) -> None:
        """A frame with this stamp came in; one that is not newer says nothing about the future."""
        self._delays.append(now_ns - stamp_ns)
        if self._newest_ns is not None:
            if stamp_ns <= self._newest_ns:
                return
            self._intervals.append(stamp_ns - self._newest_ns)
        self._newest_ns = stamp_ns

    def complete(self, end_ns: int) -> bool:
        """Whether no frame stamped up to `end_ns` is to be expected any more."""
        if self._newest_ns is None or self._newest_ns >= end_ns or self._newest_ns <= end_ns - SILENT_NS:
            return True
        if sorted(self._delays)[len(self._delays) // 2] > self._max_delay_ns:
            return True  # usually late: a band that sends in packets would mostly be waited for in vain
        return self._newest_ns + EXPECTED_SHARE * min(self._intervals, default=0) > end_ns


class Schedule:
    """The ends of the windows to be estimated, one every period, none before it is due and none left out.

    A window is due when its end has passed and every modality that is alive and quick enough has delivered what
    belongs in it, or `max_delay_ns` later in any case. Time comes in as an argument: the clock of a node, or that of
    a recording.
    """

    def __init__(self, period_ns: int, max_delay_ns: int = DEFAULT_MAX_DELAY_NS) -> None:
        self._period_ns = period_ns
        self._max_delay_ns = max_delay_ns
        self.skipped = 0
        """Windows left out because the clock had jumped ahead or the process had stood still."""
        self.restart()

    def restart(self) -> None:
        """Begin anew with the next end, whatever time it is."""
        self._next_end_ns: int | None = None
        self._arrivals = {modality: Arrivals(self._max_delay_ns) for modality in Modality}

    def note(self, modality: Modality, stamp_ns: int, now_ns: int) -> None:
        """A frame came in."""
        self._arrivals[modality].note(stamp_ns, now_ns)

    def due(self, now_ns: int) -> Iterator[int]:
        """The ends that are due at `now_ns`, oldest first."""
        if self._next_end_ns is None:
            self._next_end_ns = (now_ns // self._period_ns + 1) * self._period_ns
        if now_ns > self._next_end_ns + JUMP_NS + self._period_ns:
            late = (now_ns - self._next_end_ns) // self._period_ns
            self.skipped += late
            self._next_end_ns += late * self._period_ns
        while now_ns >= (end_ns := self._next_end_ns) and self._ready(end_ns, now_ns):
            self._next_end_ns += self._period_ns  # before it is handed out: whoever fails on it does not get it again
            yield end_ns

    def wait_ns(self, now_ns: int) -> int:
        """How long nothing can become due without a new frame; at least 1 ms."""
        if self._next_end_ns is None:
            return self._period_ns
        goal_ns = self._next_end_ns if now_ns < self._next_end_ns else self._next_end_ns + self._max_delay_ns
        return max(goal_ns - now_ns, 1_000_000)

    def stepped_back(self, now_ns: int) -> bool:
        """Whether the clock was set back: what was measured before no longer has a place on it."""
        return self._next_end_ns is not None and now_ns < self._next_end_ns - self._period_ns - JUMP_NS

    def _ready(self, end_ns: int, now_ns: int) -> bool:
        return now_ns >= end_ns + self._max_delay_ns or all(a.complete(end_ns) for a in self._arrivals.values())


def moments(
    schedule: Schedule, arrivals: Iterable[tuple[int, Item]], start_ns: int
) -> Iterator[tuple[int, Item | None]]:
    """The moments of a recording at which something may become due, in the order of time.

    Yields the start, the arrivals (time, whatever comes), and between them with None the times at which live a timer
    would go off. Tell the schedule what each brings before asking for the next.
    """
    time_ns = start_ns
    yield start_ns, None
    for now_ns, item in arrivals:
        while (wake_ns := time_ns + schedule.wait_ns(time_ns)) < now_ns:
            time_ns = wake_ns
            yield wake_ns, None
        time_ns = max(time_ns, now_ns)
        yield now_ns, item
