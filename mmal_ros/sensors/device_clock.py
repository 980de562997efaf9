"""From a device's own clock to the host's: when was this measured, if all we know is when it arrived?

Transport only ever delays. So of all arrivals the earliest ones tell the truth: plotted over device time, the offsets
`arrival - device` lie on or above a line whose slope is the rate error of the device's crystal. The line is taken
from the lower convex hull of the offsets: its edge over the middle of the hull is the line below all points that is
nearest to them in sum (Zhang, Liu and Xia, "Clock synchronization algorithms for network measurements", INFOCOM 2002).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND

BIN_NS = 1 * NANOSECONDS_PER_SECOND
"""One point of the envelope is kept per second of device time: the one that arrived earliest."""
SLOPE_WINDOW_NS = 60 * NANOSECONDS_PER_SECOND
"""The rate error changes only with temperature and age of a crystal: it is learned slowly."""
OFFSET_WINDOW_NS = 20 * NANOSECONDS_PER_SECOND
"""The offset also steps when a device loses samples: it is learned faster than the slope."""
LARGEST_RATE_ERROR = 0.0102
"""1 %, seen from either of the two clocks; crystals stay below 0.01 %, cheap RC oscillators below 1 %."""
JUMP_NS = 1 * NANOSECONDS_PER_SECOND
JUMP_PROOF_NS = 2 * NANOSECONDS_PER_SECOND
"""A back-log after a stall of the link is late, too, but catches up; what stays as late for so long is a jump."""
CATCHING_UP_NS = 50_000_000
"""What is less late by this is catching up."""


class _Point(NamedTuple):
    device_ns: int
    offset_ns: int


class _Late(NamedTuple):
    since_ns: int
    by_ns: int


class DeviceClock:
    """Maps the time of one stream of a device, in the order of arrival, to the clock of the host.

    For a packet of several values give the device time of its NEWEST value: that is the one that is sent at once.
    Counting devices have `n / rate` for a clock. Each stream has a `DeviceClock` of its own, because its stamps never
    go back. After a reconnection start with a new one.
    """

    def __init__(self, jump_ns: int = JUMP_NS, jump_proof_ns: int = JUMP_PROOF_NS) -> None:
        """Smaller limits, of a device whose packets come at once, make up sooner for packets that were lost."""
        self.jumps = 0
        """How often the device's clock jumped and the estimate began anew."""
        self._jump_ns = jump_ns
        self._jump_proof_ns = jump_proof_ns
        self._envelope: deque[_Point] = deque()
        self._slope = 0.0
        self._newest_stamp_ns: int | None = None
        self._late: _Late | None = None

    @property
    def in_doubt(self) -> bool:
        """What came last is late by more than a jump: it shows only later whether it is one."""
        return self._late is not None

    def to_host(self, device_ns: int, arrival_ns: int) -> int:
        """When, on the host's clock, the value of `device_ns` was measured that arrived at `arrival_ns`.

        Never later than `arrival_ns`, and never earlier than the stamp before as long as `arrival_ns` does not go
        back itself. Uses nothing that arrived later, so a replay of the same arrivals gives the same stamps.
        """
        lateness_ns = arrival_ns - self._line_at(device_ns) if self._envelope else 0
        if self._has_jumped(device_ns, arrival_ns, lateness_ns):
            self.jumps += 1
            self._envelope.clear()
            self._slope = 0.0
            self._late = None
        if self._late is None:
            self._learn(_Point(device_ns, arrival_ns - device_ns))
        stamp_ns = self._line_at(device_ns)
        if self._newest_stamp_ns is not None:
            stamp_ns = max(stamp_ns, self._newest_stamp_ns)
        self._newest_stamp_ns = min(stamp_ns, arrival_ns)
        return self._newest_stamp_ns

    def _has_jumped(self, device_ns: int, arrival_ns: int, lateness_ns: int) -> bool:
        if not self._envelope:
            return False
        if lateness_ns < -self._jump_ns or device_ns < self._envelope[-1].device_ns - self._jump_ns:
            return True
        if lateness_ns <= self._jump_ns:
            self._late = None
        elif self._late is None or lateness_ns < self._late.by_ns - CATCHING_UP_NS:
            self._late = _Late(arrival_ns, lateness_ns)
        return self._late is not None and arrival_ns - self._late.since_ns > self._jump_proof_ns

    def _learn(self, point: _Point) -> None:
        """Keep the earliest arrival of each second; a completed second gives a new slope."""
        if self._envelope and point.device_ns // BIN_NS <= self._envelope[-1].device_ns // BIN_NS:
            if point.offset_ns < self._envelope[-1].offset_ns and point.device_ns >= self._envelope[-1].device_ns:
                self._envelope[-1] = point
            return
        if len(self._envelope) > 1:
            self._slope = _slope_below(self._envelope)
        self._envelope.append(point)
        while self._envelope[0].device_ns < point.device_ns - SLOPE_WINDOW_NS:
            self._envelope.popleft()

    def _line_at(self, device_ns: int) -> int:
        """Host time of `device_ns` on the highest line of the known slope that lies below all recent offsets."""
        newest = self._envelope[-1]
        lowest_ns = min(
            offset_ns + self._slope * (newest.device_ns - at_ns)
            for at_ns, offset_ns in self._envelope
            if at_ns >= newest.device_ns - OFFSET_WINDOW_NS
        )
        return device_ns + round(lowest_ns + self._slope * (device_ns - newest.device_ns))


def _slope_below(points: deque[_Point]) -> float:
    """Slope of the line below all points, in the order of time, that is nearest to them in sum."""
    hull: list[_Point] = []
    for point in points:
        while len(hull) > 1 and _slope(hull[-2], point) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(point)
    middle = sum(point.device_ns for point in points) // len(points)
    after = next(i for i, point in enumerate(hull) if i and point.device_ns >= middle)
    return max(-LARGEST_RATE_ERROR, min(LARGEST_RATE_ERROR, _slope(hull[after - 1], hull[after])))


def _slope(first: _Point, second: _Point) -> float:
    return (second.offset_ns - first.offset_ns) / (second.device_ns - first.device_ns)
