"""Diagnostics: how a node is, on /diagnostics once a second, and in the log once when it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from mmal_ros.discretion import without_codes
from mmal_ros.nodes.steady import steady_timer
from mmal_ros.nodes.topics import DIAGNOSTICS
from mmal_ros.sensors.source import SourceState, SourceStatus, monotonic_s

PERIOD_S = 1.0
RECENT_S = 10.0
"""How long something that went wrong is worth a word: what comes and goes is said once."""


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


def source_report(part: str, status: SourceStatus, rates: Mapping[str, float]) -> Report:
    """The report of a source and of the rates (1/s) of what it feeds."""
    values: dict[str, object] = {
        "state": status.state.value,
        "received": status.received,
        "dropped": status.dropped,
        "repeated": status.repeated,
        "reconnects": status.reconnects,
    }
    values |= {f"{name} rate (Hz)": f"{rate:.1f}" for name, rate in rates.items()}
    return Report(part, HEALTH_OF_STATE[status.state], status.message or status.state.value, values)


class RateMeter:
    """Events per second, between one reading and the next."""

    def __init__(self) -> None:
        self._count = 0
        self._since_s = monotonic_s()

    def tick(self) -> None:
        """One event."""
        self._count += 1

    def read(self) -> float:
        """The rate since the last reading."""
        now_s = monotonic_s()
        rate = self._count / max(now_s - self._since_s, 1e-9)
        self._count, self._since_s = 0, now_s
        return rate


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
    """Publishes what `collect` says, and why the node's last transition failed, every second while the node lives."""

    def __init__(self, node: Any, collect: Callable[[], Iterable[Report]]) -> None:
        self._node = node
        self._collect = collect
        self._said: dict[str, str] = {}
        self._publisher = node.create_publisher(DIAGNOSTICS.type, DIAGNOSTICS.name, DIAGNOSTICS.qos)
        self._timer = steady_timer(node, PERIOD_S, self._publish)

    def _publish(self) -> None:
        reports = list(self._collect())
        for report in reports:
            self._log_once(report)
        if self._node.failure:  # which the node logged as it happened
            reports.append(Report("node", Health.ERROR, self._node.failure, {}))
        stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(
            DiagnosticArray(header=Header(stamp=stamp), status=[self._to_message(report) for report in reports])
        )

    def _to_message(self, report: Report) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=bytes([report.health]),
            name=f"{self._node.get_fully_qualified_name()}: {report.part}",
            message=without_codes(report.message),
            values=[KeyValue(key=key, value=without_codes(str(value))) for key, value in report.values.items()],
        )

    def _log_once(self, report: Report) -> None:
        if self._said.get(report.part) == report.message:
            return
        recovered = report.part in self._said
        self._said[report.part] = report.message
        logger, text = self._node.get_logger(), f"{report.part}: {without_codes(report.message)}"
        if report.health is Health.ERROR:
            logger.error(text)
        elif report.health is Health.WARN:
            logger.warning(text)
        elif recovered:
            logger.info(text)
