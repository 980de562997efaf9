"""Real ROS 2 for tests: a participant that listens, publishes and calls, and nodes in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

NAMESPACE = "/mmal"
DISCOVERY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 15.0
"""A node that configures loads its sensors' libraries first: seconds on a full machine."""
ATTEMPTS = 6
GOALS = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
    Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
}
PATIENCE = 200
"""Messages that may wait here: the tests share a machine, and must not take their own delay for a fault."""
MATCH_TIMEOUT_S = 4.0
"""Discovery between processes takes up to 3 s, as long as the shortest recording."""


class Participant:
    """A node of the test, spun in a thread; keeps every message of the topics it hears."""

    def __init__(self) -> None:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node("test", namespace=NAMESPACE)
        self.heard: dict[str, list[Any]] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(STOP_TIMEOUT_S)
        self.node.destroy_node()
        self._executor.shutdown()
        rclpy.try_shutdown()

    def listen(self, topic: Any) -> list[Any]:
        """Start to keep the messages of a `mmal_ros.nodes.topics.Topic`, all of them also on a busy machine."""
        messages = self.heard.setdefault(topic.name, [])
        qos = copy(topic.qos)
        qos.depth = max(qos.depth, PATIENCE)
        self.node.create_subscription(topic.type, topic.name, messages.append, qos)
        return messages

    def publisher(self, topic: Any) -> Any:
        """A publisher that somebody already listens to."""
        publisher = self.node.create_publisher(topic.type, topic.name, topic.qos)
        wait_until(lambda: publisher.get_subscription_count() > 0, DISCOVERY_TIMEOUT_S)
        return publisher

    def call(self, service_type: Any, name: str, request: Any, timeout_s: float = 30.0) -> Any:
        """Call a service and return its answer; fails when there is none."""
        answer = self.ask(service_type, name, request, timeout_s)
        assert answer is not None, f"{name} did not answer within {timeout_s} s"
        return answer

    def ask(self, service_type: Any, name: str, request: Any, timeout_s: float) -> Any:
        """Call a service; None when no answer comes.

        A server that has not found its client yet drops the answer after 100 ms (ros2/rmw_fastrtps#467).
        """
        client = self.node.create_client(service_type, name)
        try:
            assert client.wait_for_service(DISCOVERY_TIMEOUT_S), f"nobody offers {name}"
            time.sleep(0.3)
            future = client.call_async(request)
            deadline = time.monotonic() + timeout_s
            while not future.done() and time.monotonic() < deadline:
                time.sleep(0.02)
            return future.result() if future.done() else None
        finally:
            self.node.destroy_client(client)

    def change_state(self, node_name: str, transition: int) -> bool:
        """Ask a lifecycle node for a transition; whether it went well. A lost answer is looked up in its state."""
        service = f"{NAMESPACE}/{node_name}/change_state"
        request = ChangeState.Request(transition=Transition(id=transition))
        for _ in range(ATTEMPTS):
            answer = self.ask(ChangeState, service, request, ANSWER_TIMEOUT_S)
            if answer is not None:
                return bool(answer.success)
            if self.state(node_name) == GOALS[transition]:
                return True
        raise AssertionError(f"{service} did not answer {ATTEMPTS} times")

    def state(self, node_name: str) -> int | None:
        """The lifecycle state of a node; None while it does not answer."""
        answer = self.ask(GetState, f"{NAMESPACE}/{node_name}/get_state", GetState.Request(), ANSWER_TIMEOUT_S)
        return None if answer is None else int(answer.current_state.id)

    def activate(self, node_name: str) -> None:
        """Configure a lifecycle node, wait until what it will publish is heard here, and activate it."""
        assert self.change_state(node_name, Transition.TRANSITION_CONFIGURE)
        deadline = time.monotonic() + MATCH_TIMEOUT_S  # some topics have no publisher on purpose
        while not all(map(self.node.count_publishers, self.heard)) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        assert self.change_state(node_name, Transition.TRANSITION_ACTIVATE)

    def _spin(self) -> None:
        try:
            while not self._stop.is_set():
                self._executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            return


@contextmanager
def participant() -> Iterator[Participant]:
    """A participant, closed at the end."""
    participant = Participant()
    try:
        yield participant
    finally:
        participant.close()


@contextmanager
def node_process(executable: str, **parameters: Any) -> Iterator[subprocess.Popen[str]]:
    """One of the package's executables in a process of its own, unconfigured; killed at the end."""
    arguments = [f"-p{name}:={value}" for name, value in parameters.items()]
    separate = [part for argument in arguments for part in (argument[:2], argument[2:])]
    command = [str(Path(sys.executable).parent / executable), "--ros-args", "-r", f"__ns:={NAMESPACE}", *separate]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def wait_until(condition: Callable[[], object], timeout_s: float) -> None:
    """Wait for something that happens in another thread or process."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"nothing happened within {timeout_s} s"
        time.sleep(0.02)


def message_of(arrays: list[Any], part: str) -> str:
    """What the newest diagnostic status says of a part; empty while it says nothing."""
    status = latest_reports(arrays).get(part)
    return status.message if status is not None else ""


def values_of(arrays: list[Any], part: str) -> dict[str, str]:
    """The values in the newest diagnostic status of a part."""
    return {item.key: item.value for item in latest_reports(arrays)[part].values}


def latest_reports(arrays: list[Any]) -> Mapping[str, Any]:
    """The newest diagnostic status of every part, by its name without the node's."""
    return {status.name.rpartition(": ")[2]: status for array in arrays for status in array.status}
