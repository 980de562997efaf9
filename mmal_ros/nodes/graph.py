"""The whole graph in one process and one executor: what `mmal run` does without `ros2 launch`."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter

from mmal_msgs.msg import Engagement, Query
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS
from mmal_ros.nodes.camera_node import CameraNode
from mmal_ros.nodes.discovery import start_ros, stay_on_this_computer
from mmal_ros.nodes.e4_node import E4Node
from mmal_ros.nodes.engagement_node import EngagementNode
from mmal_ros.nodes.microphone_node import MicrophoneNode
from mmal_ros.nodes.parameter_checks import ParameterError
from mmal_ros.nodes.recorder_node import RecorderNode
from mmal_ros.nodes.selector_node import SelectorNode
from mmal_ros.nodes.spinning import shut_down, spin_until
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT, QUERY
from mmal_ros.sensors.specs import Sensor
from mmal_ros.stopping import undisturbed

START_DELAY_NS = NANOSECONDS_PER_SECOND // 2
"""Recordings begin this long after the nodes are told to start, so that all of them are there."""
STOP_TIMEOUT_S = 5.0
NODES = {Sensor.CAMERA: CameraNode, Sensor.MICROPHONE: MicrophoneNode, Sensor.WRISTBAND: E4Node}


class GraphError(Exception):
    """A node refused to start; the message is its reason."""


@dataclass(frozen=True)
class GraphSettings:
    """What to run: SPECs of the sensors, and parameters by node."""

    sources: Mapping[Sensor, str]
    engagement: Mapping[str, Any] = field(default_factory=dict)
    sensors: Mapping[Sensor, Mapping[str, Any]] = field(default_factory=dict)
    selector: Mapping[str, Any] | None = None
    """None: nothing is flagged."""
    recorder: Mapping[str, Any] | None = None
    """None: nothing is recorded."""
    namespace: str = "/mmal"


class Graph:
    """Nodes, executor and a listener to their topics; a context manager that leaves nothing behind.

    `on_engagement`, `on_diagnostics` and `on_query` are called from the executor's thread, with what really went over
    the topics.
    """

    def __init__(
        self,
        settings: GraphSettings,
        on_engagement: Callable[[Engagement], None],
        on_diagnostics: Callable[[DiagnosticArray], None] = lambda message: None,
        on_query: Callable[[Query], None] = lambda message: None,
    ) -> None:
        self._settings = settings
        self._heard = ((ENGAGEMENT, on_engagement), (DIAGNOSTICS, on_diagnostics), (QUERY, on_query))
        self._stop = threading.Event()
        self._nodes: list[Any] = []
        self.start_ns = 0
        """When recordings began."""
        self.listener: Node
        """Hears the graph's topics; for those who want to hear more of them."""

    def __enter__(self) -> Self:
        """Start everything; raises GraphError and leaves nothing behind when a node refuses."""
        stay_on_this_computer()
        start_ros()
        try:
            self._executor = SingleThreadedExecutor()
            spinning = (self._stop.is_set, self._executor)
            self._thread = threading.Thread(target=spin_until, args=spinning, name="executor", daemon=True)
            self._make_nodes()
            for node in self._nodes:
                self._transition(node, node.trigger_configure)
            gc.freeze()  # else all that is loaded is looked at for garbage every ten minutes, for 0.2 s
            self._thread.start()
            self._begin()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def sensors(self) -> dict[Sensor, Any]:
        """The running sensor nodes."""
        return {node.sensor: node for node in self._nodes if hasattr(node, "sensor")}

    @property
    def session(self) -> Path | None:
        """Folder of the session that is being recorded; None: there is none."""
        recorders = (node.recorder for node in self._nodes if isinstance(node, RecorderNode))
        return next((recorder.folder.path for recorder in recorders if recorder is not None), None)

    def recordings_ended(self) -> list[bool]:
        """For every recorded source, whether it is over."""
        return [node.ended for node in self.sensors.values() if node.spec.recorded and node.spec.scheme != "none"]

    def _make_nodes(self) -> None:
        self.listener = Node("listener", namespace=self._settings.namespace)
        for topic, hear in self._heard:
            self.listener.create_subscription(topic.type, topic.name, hear, topic.qos)
        self._executor.add_node(self.listener)
        self._add(EngagementNode, self._settings.engagement)
        for make, values in ((RecorderNode, self._settings.recorder), (SelectorNode, self._settings.selector)):
            if values is not None:
                self._add(make, values)
        for sensor, spec in self._settings.sources.items():
            self._add(NODES[sensor], {"source": spec, **self._settings.sensors.get(sensor, {})})

    def _add(self, make: Any, values: Mapping[str, Any]) -> None:
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        try:
            node = make(namespace=self._settings.namespace, parameter_overrides=overrides)
        except ParameterError as error:
            raise GraphError(str(error)) from error
        self._nodes.append(node)
        self._executor.add_node(node)

    def _begin(self) -> None:
        """Activate: the estimates first, so that they hear the first frame; recordings all at the same moment."""
        now_ns = self.listener.get_clock().now().nanoseconds
        self.start_ns = ((now_ns + START_DELAY_NS) // STEP_NS + 1) * STEP_NS
        for node in self.sensors.values():
            node.set_parameters([Parameter("recording_start_ns", value=self.start_ns)])
        for node in self._nodes:
            self._transition(node, node.trigger_activate)

    def _transition(self, node: Any, trigger: Callable[[], TransitionCallbackReturn]) -> None:
        if trigger() is not TransitionCallbackReturn.SUCCESS:
            raise GraphError(node.failure or f"{node.get_name()} did not start; see its log")

    def _close(self) -> None:
        with undisturbed(), ExitStack() as ends:  # all, whatever one of them raises: a session is to be complete
            ends.callback(rclpy.try_shutdown)
            ends.callback(self._executor.shutdown)
            if hasattr(self, "listener"):
                ends.callback(self.listener.destroy_node)
            # The last of these ends first: a session is whole before a sensor takes its time, or hangs in its driver.
            for node in sorted(self._nodes, key=lambda node: isinstance(node, RecorderNode)):
                ends.callback(shut_down, node)
            ends.callback(gc.unfreeze)
            self._stop.set()
            if self._thread.is_alive():
                self._thread.join(STOP_TIMEOUT_S)
