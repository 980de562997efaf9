"""`mmal run` and `mmal demo`: the ROS graph in this process, with the terminal view or JSON lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import sleep, time_ns
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from mmal_ros.cli.errors import err
from mmal_ros.cli.estimate_record import estimate_record, print_json
from mmal_ros.cli.redirect import STDERR, output_into
from mmal_ros.cli.run_options import RecordOptions, RunOptions
from mmal_ros.cli.view import LiveView
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.model_card import read_card
from mmal_ros.models import resolve_version
from mmal_ros.nodes.conversions import MessageError, estimate_from_message
from mmal_ros.nodes.graph import Graph, GraphError, GraphSettings
from mmal_ros.paths import find_model
from mmal_ros.sensors.source import monotonic_s
from mmal_ros.sensors.specs import Sensor
from mmal_ros.session.records import Privacy
from mmal_ros.stopping import end_if_told

if TYPE_CHECKING:  # only nodes/ knows messages; here they are names in annotations
    from diagnostic_msgs.msg import DiagnosticArray

    from mmal_msgs.msg import Engagement, Query

POLL_S = 0.1
REFRESHES_PER_S = 5
DRAIN_S = 0.3
"""When a recording ends, its last features are on their way for this long."""
RATE_SUFFIX = " rate (Hz)"
WELL = "[INFO] "
"""Begins what a node logs while all is well."""


class LiveRun:
    """Listens to the graph's topics and passes on what comes: to the view, or as JSON lines."""

    def __init__(self, options: RunOptions, view: LiveView) -> None:
        self._options = options
        self._view = view
        self._ended = False
        self._graph = Graph(self._settings(), self._on_engagement, self._on_diagnostics, self._on_query)
        self.session: Path | None = None
        """Folder of what was recorded."""

    @property
    def start_ns(self) -> int:
        """When recorded and simulated sources began."""
        return self._graph.start_ns

    def play(self, console: Console) -> None:
        """Run until the end of the recordings, the duration or Ctrl-C; raises GraphError, ModelError."""
        if self._options.json_lines:
            with self._graph:
                self._wait()
            return
        with log_of_run(), ExitStack() as stack:
            with console.status("starting …"):
                stack.enter_context(self._graph)
            if self._options.record:
                stack.callback(console.print, "ending the recording …")
            with Live(self._view, console=console, refresh_per_second=REFRESHES_PER_S):
                self._wait()

    def _settings(self) -> GraphSettings:
        options = self._options
        card = read_card(resolve_version(find_model(options.model)))  # the node loads the rest
        privacy = options.record.privacy if options.record else Privacy.FEATURES_ONLY
        engagement = {"rate_hz": float(options.rate_hz), "max_delay_ms": float(options.max_delay_ms)}
        return GraphSettings(
            sources={sensor: str(spec) for sensor, spec in options.specs.items()},
            engagement={"model": options.model, "providers": list(options.providers), **engagement},
            sensors={
                Sensor.CAMERA: {"privacy": privacy.value},
                Sensor.MICROPHONE: {"privacy": privacy.value, "feature_set": card.audio_features},
            },
            selector={"model": options.model, **asdict(options.flags)},
            recorder=self._recorder(options.record, engagement) if options.record else None,
        )

    def _recorder(self, record: RecordOptions, engagement: Mapping[str, float]) -> dict[str, Any]:
        options = self._options
        return {
            "auto_start": True,
            "participant": record.participant,
            "privacy": record.privacy.value,
            "sessions": str(record.sessions or ""),
            "devices": [f"{sensor}={spec}" for sensor, spec in options.specs.items()],
            "model": options.model,
            "policy": options.flags.policy,
            "budget": options.flags.budget,
            **engagement,
        }

    def _wait(self) -> None:
        end_s = self._end_s()
        while not self._over(end_s):
            end_if_told()
            sleep(POLL_S)
            self.session = self._graph.session or self.session
        sleep(DRAIN_S)
        self._ended = True

    def _end_s(self) -> float:
        """When the duration is over, on the steady clock: the one that recordings begin by may be set meanwhile."""
        until_start_s = (self._graph.start_ns - time_ns()) / NANOSECONDS_PER_SECOND
        return monotonic_s() + until_start_s + (self._options.duration_s or math.inf)

    def _over(self, end_s: float) -> bool:
        if monotonic_s() > end_s:
            return True
        ended = self._graph.recordings_ended()
        return bool(ended) and (all(ended) if self._options.until_last else any(ended))

    def _on_engagement(self, message: Engagement) -> None:
        try:
            estimate, start_ns = estimate_from_message(message), self._graph.start_ns
        except MessageError:  # of somebody else, not of our graph
            return
        time_s = (estimate.stamp_ns - start_ns) / NANOSECONDS_PER_SECOND
        if self._ended or not start_ns or time_s <= 0 or time_s > (self._options.duration_s or time_s):
            return
        if self._options.json_lines:
            record = estimate_record(estimate, start_ns)
            record["compute_time_s"] = round(message.compute_time, 6)
            record["latency_s"] = None if math.isnan(message.latency) else round(message.latency, 6)
            print_json(record)
        self._view.feed(estimate, start_ns, message.latency, message.compute_time)

    def _on_query(self, message: Query) -> None:
        self._view.budget, self._view.budget_left = message.budget, message.budget_left

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if self._ended:  # nodes that are being stopped miss their sensors: nobody wants to know
            return
        for status in message.status:
            part = status.name.rpartition(": ")[2]
            for item in status.values:
                if item.key.endswith(RATE_SUFFIX):
                    self._view.rates[item.key.removesuffix(RATE_SUFFIX)] = item.value
                elif item.key == "rate (Hz)":
                    self._view.rates[part] = item.value
            if status.level > b"\x00":
                self._view.notes[part] = status.message
            else:
                self._view.notes.pop(part, None)


@contextmanager
def log_of_run() -> Iterator[None]:
    """What goes to stderr meanwhile goes to a file, named at the end, whatever that is; one that tells nothing goes."""
    known = ""
    with NamedTemporaryFile("wb", prefix="mmal-", suffix=".log", delete=False) as file:
        path = Path(file.name)
        try:
            with output_into(file, STDERR):
                yield
        except GraphError as refused:  # the graph never started; that it says is the reason is told anyway
            known = str(refused)
            raise
        finally:
            if _tells_more(path, known):
                err.print(f"log: {path}", style="grey50", highlight=False, soft_wrap=True)
            else:
                path.unlink()


def _tells_more(log: Path, known: str) -> bool:
    """Whether there is anything in a log but what is known; if something is, which nodes were well is of no use."""
    with log.open(errors="replace") as lines:
        return any(line.strip() and not (known and (known in line or line.startswith(WELL))) for line in lines)
