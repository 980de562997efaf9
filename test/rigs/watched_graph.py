"""A graph of real nodes, one process each, and somebody who watches it as a user would while things go wrong.

He sees /diagnostics, the log and the estimates, and nothing of what is inside the nodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Log, Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from mmal_msgs.msg import Engagement, ModalityEstimate
from mmal_msgs.srv import StartSession
from mmal_ros.datatypes import Modality
from mmal_ros.nodes.conversions import MODALITY_CODES
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT, START_SESSION, STOP_SESSION, Topic
from mmal_ros.session.folder import SessionFolder
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.model_sets import write_model_set
from rigs.ros import NAMESPACE, Participant, latest_reports, message_of, node_process, participant, values_of

LOG = Topic(Log, "/rosout", QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL))
WELL = b"\x00"
STEADY_S = 1.0
"""So long all must be well before something is provoked."""
LEAST_SHARE = 0.9
"""Of the estimates that were due; on a machine that tests share, one or the other may be passed over."""


@dataclass(frozen=True)
class Fault:
    """Something that happens to a sensor, and what a user must be told of it."""

    what: str
    """The row of the table."""
    provoked: str
    provoke: Callable[[], object]
    mend: Callable[[], object]
    says: str
    """Part of what /diagnostics and the log must say."""
    missing: bool = True
    """Whether the modalities are gone meanwhile: it stays long enough."""
    lasts_s: float = 0.0
    """At least so long; it stays until it has been noticed in any case."""


class WatchedGraph:
    """engagement_node, one sensor's node, recorder_node if there is one: active from the start to the end."""

    def __init__(self, ros: Participant, node: str, part: str, modalities: tuple[Modality, ...]) -> None:
        self.ros = ros
        self.estimates: list[Engagement] = ros.listen(ENGAGEMENT)
        self.diagnostics: list[Any] = ros.listen(DIAGNOSTICS)
        self.log: list[Log] = ros.listen(LOG)
        self.sensor: Popen[str]
        """The process of the sensor's node."""
        self._node = node
        self._part = part
        self._modalities = modalities

    @property
    def message(self) -> str:
        """What /diagnostics says of the sensor."""
        return message_of(self.diagnostics, self._part)

    @property
    def values(self) -> dict[str, int]:
        """Counters of the sensor on /diagnostics."""
        return {name: int(value) for name, value in values_of(self.diagnostics, self._part).items() if value.isdigit()}

    @property
    def is_well(self) -> bool:
        """The sensor is well, and its modalities are heard in the newest estimate."""
        report = latest_reports(self.diagnostics[-8:]).get(self._part)
        return report is not None and report.level == WELL and self._all_are(ModalityEstimate.VALID)

    @property
    def is_troubled(self) -> bool:
        """/diagnostics says that something is wrong with the sensor."""
        report = latest_reports(self.diagnostics[-8:]).get(self._part)
        return report is not None and report.level != WELL

    @property
    def is_missing(self) -> bool:
        """None of the sensor's modalities is heard in the newest estimate."""
        return self._all_are(ModalityEstimate.MISSING)

    def wait_until_steady(self) -> None:
        """All has been well for a while."""
        seconds_until(lambda: self.is_well, 60)
        deadline = time.monotonic() + STEADY_S
        while time.monotonic() < deadline:
            time.sleep(0.05)
            if not self.is_well:
                deadline = time.monotonic() + STEADY_S

    def complaints(self, since: int = 0, node: str = "") -> list[str]:
        """What a node, that of the sensor unless told otherwise, has logged of troubles."""
        of_node = [line for line in self.log if line.name.endswith(node or self._node)]
        return [line.msg for line in of_node if line.level >= Log.WARN][since:]

    def share_heard(self, first: int) -> float:
        """Of the estimates from the first one on, the share in which all modalities of the sensor are heard."""
        heard = [
            all(self._status(estimate, modality) != ModalityEstimate.MISSING for modality in self._modalities)
            for estimate in self.estimates[first:]
        ]
        return sum(heard) / len(heard)

    def endures(self, fault: Fault) -> Outcome:
        """Provoke a fault and mend it; the common rule of all faults must hold."""
        self.wait_until_steady()
        first, logged = len(self.estimates), len(self.complaints())
        fault.provoke()
        over_s = time.monotonic() + fault.lasts_s
        detected_s = seconds_until(lambda: self.is_troubled)
        seconds_until(lambda: fault.says in self.message)
        seconds_until(lambda: self.is_missing or not fault.missing)
        time.sleep(max(over_s - time.monotonic(), 0))
        fault.mend()
        recovered_s = seconds_until(lambda: self.is_well, 60)
        seconds_until(lambda: any(fault.says in line for line in self.complaints()))
        said = self.complaints(logged)
        assert len(said) == len(set(said)), f"said more than once: {said}"
        self.check_estimates(first, went_missing=fault.missing)
        outcome = Outcome(fault.what, fault.provoked, detected_s, recovered_s)
        keep(outcome)
        return outcome

    def check_estimates(self, first: int, *, went_missing: bool) -> None:
        """From the first one on they came, and the modalities became stale before they were missing."""
        estimates = self.estimates[first:]
        due = estimates[-1].window_id - estimates[0].window_id + 1
        assert len(estimates) >= LEAST_SHARE * due, f"{len(estimates)} of {due} estimates came"
        for modality in self._modalities if went_missing else ():
            course = [self._status(estimate, modality) for estimate in estimates]
            missing = course.index(ModalityEstimate.MISSING)
            assert ModalityEstimate.STALE in course[:missing], f"{modality}: {course}"

    def change_source(self, spec: str) -> None:
        """Give the sensor's node another SPEC, as one does with `ros2 lifecycle` and `ros2 param`."""
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
            assert self.ros.change_state(self._node, transition)
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=spec)
        request = SetParameters.Request(parameters=[Parameter(name="source", value=value)])
        self.ros.call(SetParameters, f"{NAMESPACE}/{self._node}/set_parameters", request)
        self.ros.activate(self._node)

    def _all_are(self, status: int) -> bool:
        return bool(self.estimates) and all(
            self._status(self.estimates[-1], modality) == status for modality in self._modalities
        )

    @staticmethod
    def _status(estimate: Engagement, modality: Modality) -> int:
        return estimate.modalities[MODALITY_CODES[modality]].status


@contextmanager
def watched_graph(
    folder: Path, node: str, part: str, modalities: tuple[Modality, ...], *, record: bool = False, **parameters: Any
) -> Iterator[WatchedGraph]:
    """Start the nodes; `parameters` are the sensor node's. Recordings are in `folder`/sessions."""
    write_model_set(folder / "random")
    with ExitStack() as stack:
        ros = stack.enter_context(participant())
        graph = WatchedGraph(ros, node, part, modalities)
        nodes = {"engagement_node": {"model": folder / "random"}, node: parameters}
        if record:
            nodes["recorder_node"] = {"sessions": folder / "sessions", "privacy": "features_only"}
        processes = {name: stack.enter_context(node_process(name, **values)) for name, values in nodes.items()}
        graph.sensor = processes[node]
        for name in nodes:
            ros.activate(name)
        yield graph


@contextmanager
def recorded(graph: WatchedGraph) -> Iterator[SessionFolder]:
    """A session is recorded; it can be read after the context is left."""
    answer = graph.ros.call(*START_SESSION, StartSession.Request(participant="P017"))
    assert answer.success, answer.message
    try:
        yield SessionFolder(Path(answer.folder))
    finally:
        assert graph.ros.call(*STOP_SESSION, Trigger.Request()).success
