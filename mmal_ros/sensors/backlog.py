"""Telling pictures that waited in a queue from pictures that were just taken, by nothing but when they arrive."""

from __future__ import annotations

PAUSE_S = 0.3
"""A longer silence is a pause, after which old pictures may come first."""
PAUSE_PERIODS = 3
"""A slow camera is not paused before it is so many periods late."""
LIVE_IN_A_ROW = 2
"""So many arrivals at the camera's own pace end the queue; a single one may be a hiccup of this computer."""
SMOOTHING = 0.2
"""Weight of the newest interval in the estimate of the camera's period."""


class Backlog:
    """Says which arrivals are stale.

    After a pause of n periods up to n pictures may have queued up (in the driver, in TCP buffers), and they come much
    faster than the camera takes them. So the first picture after a pause is old, and so are the next n while they
    follow one another in less than half a period. A camera that is merely faster than expected has no pause before it.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._last_s: float | None = None
        self._may_be_queued = 0
        self._live_in_a_row = 0

    def is_stale(self, arrived_s: float) -> bool:
        """Whether the picture that arrives now (steady clock, seconds) is an old one."""
        interval_s = self._period_s if self._last_s is None else arrived_s - self._last_s
        self._last_s = arrived_s
        if not self._may_be_queued and interval_s > max(PAUSE_S, PAUSE_PERIODS * self._period_s):
            self._may_be_queued = round(interval_s / self._period_s)
            self._live_in_a_row = 0
            return True
        return self._is_queued(interval_s)

    def _is_queued(self, interval_s: float) -> bool:
        at_pace = interval_s >= self._period_s / 2
        if self._may_be_queued:
            self._may_be_queued -= 1
            self._live_in_a_row = self._live_in_a_row + 1 if at_pace else 0
            if self._live_in_a_row >= LIVE_IN_A_ROW:
                self._may_be_queued = 0
        if at_pace or not self._may_be_queued:
            self._period_s += SMOOTHING * (interval_s - self._period_s)
        return self._may_be_queued > 0
