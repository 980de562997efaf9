"""Diagnostics: how a node is, on /diagnostics once a second and when it changes, and in the log when it changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from mmal_ros.discretion import discreet
from mmal_ros.nodes.sending import send
from mmal_ros.nodes.steady import steady_timer
from mmal_ros.nodes.topics import DIAGNOSTICS
from mmal_ros.sensors.source import SourceState, SourceStatus, monotonic_s

PERIOD_S = 1.0
RECENT_S = 10.0
"""How long something that went wrong is worth a word: what comes and goes is said once."""
LOOK_S = 0.1
"""How often it is looked whether something has changed: a fault must be known within 2 s, however it is found."""
CALM_S = 3.0
"""A part that is well again for less, and then not, goes to and fro; the log says so only once."""
LEAST_RATE_S = 0.95 * PERIOD_S
"""Shorter stretches say nothing of a rate: a report that comes out of turn repeats the last one."""


class Health(IntEnum):
    """The levels of diagnostic_msgs."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


HEALTH_OF_STATE = {
    SourceState.STARTING: Health.WARN,
    SourceState.STREAMING: Health.OK,
    SourceState.SILENT: Health.ERROR,
    SourceState.LOST: Health.ERROR,
    SourceState.ENDED: Health.WARN,
}


@dataclass(frozen=True, slots=True)
class Report:
    """One part of a node at one moment."""

    part: str
    health: Health
    message: str
    values: Mapping[str, object]


def source_report(part: str, status: SourceStatus, rates: Mapping[str, float], troubles: Sequence[str] = ()) -> Report:
    """The report of a source, of the rates (1/s) of what it feeds, and of what troubled it lately all the same."""
    values: dict[str, object] = {
        "state": status.state.value,
        "received": status.received,
        "dropped": status.dropped,
        "repeated": status.repeated,
        "reconnects": status.reconnects,
        "malformed": status.malformed,
    }
    values |= {"newest malformed": status.newest_malformed} if status.malformed else {}
    values |= {f"{name} rate (Hz)": f"{rate:.1f}" for name, rate in rates.items()}
    health = max(HEALTH_OF_STATE[status.state], Health.WARN if troubles else Health.OK)
    return Report(part, health, status.message or ", ".join(troubles) or status.state.value, values)


class RateMeter:
    """Events per second, between one reading and the next; not a number before a second is over."""

    def __init__(self) -> None:
        self._count = 0
        self._since_s = monotonic_s()
        self._rate = math.nan

    def tick(self) -> None:
        """One event."""
        self._count += 1

    def read(self) -> float:
        """The rate since the last reading; the same again when that was only just now."""
        now_s = monotonic_s()
        if now_s - self._since_s >= LEAST_RATE_S:
            self._rate = self._count / (now_s - self._since_s)
            self._count, self._since_s = 0, now_s
        return self._rate


class Recent:
    """Which of several counters rose lately."""

    def __init__(self) -> None:
        self._counted: dict[str, int] = {}
        self._rose_s: dict[str, float] = {}

    def update(self, counts: Mapping[Any, int]) -> list[str]:
        """Take the counters as they are now; returns the names of those that rose in the last `RECENT_S`, sorted."""
        now_s = monotonic_s()
        rose = [name for name, count in counts.items() if count > self._counted.get(name, 0)]
        self._rose_s |= dict.fromkeys(rose, now_s)
        self._counted = dict(counts)
        return sorted(name for name, rose_s in self._rose_s.items() if now_s - rose_s < RECENT_S)


class Diagnostics:
    """Publishes what `collect` says, and why the node's last transition failed, while the node lives.

    Every second, and at once when `state` is another one.
    """

    def __init__(
        self, node: Any, collect: Callable[[], Iterable[Report]], state: Callable[[], object] = lambda: None
    ) -> None:
        """`state` is asked often: it must be cheap."""
        self._node = node
        self._collect = collect
        self._state = state
        self._last_state = state()
        self._due_s = monotonic_s() + PERIOD_S
        self._said: dict[str, Said] = {}
        self._publisher = node.create_publisher(DIAGNOSTICS.type, DIAGNOSTICS.name, DIAGNOSTICS.qos)
        self._timer = steady_timer(node, LOOK_S, self._look)

    def _look(self) -> None:
        state, now_s = self._state(), monotonic_s()
        if state == self._last_state and now_s < self._due_s:
            return
        self._last_state, self._due_s = state, now_s + PERIOD_S
        self._publish()

    def _publish(self) -> None:
        reports = list(self._collect())
        for report in reports:
            self._log_once(report)
        if self._node.failure:  # which the node logged as it happened
            reports.append(Report("node", Health.ERROR, self._node.failure, {}))
        stamp = self._node.get_clock().now().to_msg()
        send(
            self._publisher,
            DiagnosticArray(header=Header(stamp=stamp), status=[self._to_message(report) for report in reports]),
        )

    def _to_message(self, report: Report) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=bytes([report.health]),
            name=f"{self._node.get_fully_qualified_name()}: {report.part}",
            message=discreet(report.message),
            values=[KeyValue(key=key, value=discreet(str(value))) for key, value in report.values.items()],
        )

    def _log_once(self, report: Report) -> None:
        said = self._said.setdefault(report.part, Said(report))
        if not said.is_news(report, monotonic_s()):
            return
        logger, text = self._node.get_logger(), f"{report.part}: {discreet(report.message)}"
        if report.health is Health.ERROR:
            logger.error(text)
        elif report.health is Health.OK:
            logger.info(text)
        else:
            logger.warning(text)


class Said:
    """What the log has of a part: every trouble once, until the part has been well for a while."""

    def __init__(self, first: Report) -> None:
        """To be well at first is no news."""
        self._is_well = True
        self._well_since_s: float | None = None
        self._messages = {first.message} if first.health is Health.OK else set()

    def is_news(self, report: Report, now_s: float) -> bool:
        """Whether this belongs into the log."""
        is_well = report.health is Health.OK
        if is_well and not self._is_well:
            self._well_since_s = now_s if self._well_since_s is None else self._well_since_s
            if now_s - self._well_since_s < CALM_S:
                return False
        self._well_since_s = None
        before = self._messages if is_well == self._is_well else set()
        self._is_well = is_well
        self._messages = {report.message} if is_well else {*before, report.message}
        return report.message not in before
