"""What a page shows of a running graph, and what it may ask of it: the `LiveFeed` of the review server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import rclpy
from rclpy.exceptions import NameValidationException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from mmal_msgs.msg import Engagement, ModelInfo, Query, SessionStatus
from mmal_msgs.srv import FlagNow, GetBudget, StartSession, Unflag
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Estimate
from mmal_ros.nodes.conversions import MessageError, estimate_from_message, to_ns
from mmal_ros.nodes.discovery import RosError, in_one_sentence, start_ros, stay_on_this_computer
from mmal_ros.nodes.spinning import spin_until
from mmal_ros.nodes.steady import steady_timer
from mmal_ros.nodes.topics import (
    ENGAGEMENT,
    FLAG_NOW,
    GET_BUDGET,
    MODEL_INFO,
    QUERY,
    SESSION_STATUS,
    START_SESSION,
    STOP_SESSION,
    UNFLAG,
)

ANSWER_TIMEOUT_S = 5.0
"""A recorder makes a folder and a file first."""
BUDGET_PERIOD_S = 1.0
MOST_FLAGS = 100
STOP_TIMEOUT_S = 5.0
Answer = tuple[bool, str]
"""Whether it was done, and one sentence."""


class GraphFeed:
    """Listens on a node that somebody else spins; see `review.live.LiveFeed`. Its methods are for any other thread."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._engagement: Estimate | None = None
        self._model = ""
        self._status: SessionStatus | None = None
        self._flags: dict[int, Query] = {}
        self._budget: tuple[int, int] | None = None
        for topic, hear in (
            (ENGAGEMENT, self._on_engagement),
            (MODEL_INFO, self._on_model),
            (SESSION_STATUS, self._on_status),
            (QUERY, self._on_query),
        ):
            node.create_subscription(topic.type, topic.name, hear, topic.qos)
        services = (FLAG_NOW, UNFLAG, START_SESSION, STOP_SESSION, GET_BUDGET)
        self._clients = {name: node.create_client(kind, name) for kind, name in services}
        self._asked_budget: Any = None
        steady_timer(node, BUDGET_PERIOD_S, self._ask_budget)

    def state(self) -> dict[str, Any]:
        """What is known now, ready for JSON."""
        budget, left = self._budget or (None, None)
        return {
            **self._estimate(),
            "model": self._model or None,
            "budget": budget,
            "budget_left": left,
            "flags": [_flag(query) for query in list(self._flags.values())],
            "session": _session(self._status),
        }

    def flag(self, reason: str) -> Answer:
        """Ask for a label of what is happening now."""
        return self._ask(FLAG_NOW, FlagNow.Request(reason=reason), "selector_node")

    def unflag(self, window_id: int) -> Answer:
        """Take a flag back."""
        return self._ask(UNFLAG, Unflag.Request(window_id=window_id), "selector_node")

    def start_session(self, participant: str, privacy: str) -> Answer:
        """Begin to record."""
        request = StartSession.Request(participant=participant, privacy=privacy)
        return self._ask(START_SESSION, request, "recorder_node")

    def stop_session(self) -> Answer:
        """End the recording."""
        return self._ask(STOP_SESSION, Trigger.Request(), "recorder_node")

    def _estimate(self) -> dict[str, Any]:
        estimate = self._engagement
        if estimate is None:
            return {"level": None, "probabilities": None, "modalities": {}, "age_s": None}
        age_ns = self._node.get_clock().now().nanoseconds - estimate.stamp_ns
        return {
            "level": None if estimate.level is None else estimate.level.name.lower(),
            "probabilities": [float(p) for p in estimate.probabilities],
            "modalities": {
                modality.value: {
                    "status": status.value,
                    "probabilities": [float(p) for p in estimate.by_modality[modality]],
                }
                for modality, status in estimate.status.items()
            },
            "age_s": round(max(age_ns, 0) / NANOSECONDS_PER_SECOND, 3),
        }

    def _on_engagement(self, message: Engagement) -> None:
        with suppress(MessageError):  # as old as the one before
            self._engagement = estimate_from_message(message)

    def _on_model(self, message: ModelInfo) -> None:
        self._model = f"{message.name}/{message.version}"

    def _on_status(self, message: SessionStatus) -> None:
        """A new session begins without the flags of the one before."""
        known, self._status = self._status, message
        if message.recording and (known is None or message.session != known.session):
            started_ns = to_ns(message.started)
            self._flags = {w: q for w, q in self._flags.items() if to_ns(q.header.stamp) >= started_ns}

    def _on_query(self, message: Query) -> None:
        self._budget = message.budget, message.budget_left
        flags = {window: query for window, query in self._flags.items() if window != message.window_id}
        if message.action == Query.FLAGGED:
            flags[message.window_id] = message
        status = self._status
        since_ns = to_ns(status.started) if status is not None and status.recording else 0  # who comes late hears all
        # As a whole: others may be reading.
        newest = sorted(flags.items(), key=lambda item: to_ns(item[1].header.stamp))[-MOST_FLAGS:]
        self._flags = {w: q for w, q in newest if to_ns(q.header.stamp) >= since_ns}

    def _ask_budget(self) -> None:
        """A new session has a new budget before anything is flagged."""
        client = self._clients[GET_BUDGET[1]]
        if self._asked_budget is not None and not self._asked_budget.done():
            client.remove_pending_request(self._asked_budget)  # the answer was lost, or the node is gone
        if client.service_is_ready():
            self._asked_budget = client.call_async(GetBudget.Request())
            self._asked_budget.add_done_callback(self._on_budget)

    def _on_budget(self, future: Any) -> None:
        if not future.cancelled() and future.exception() is None:
            self._budget = future.result().budget, future.result().left

    def _ask(self, service: tuple[Any, str], request: Any, node: str) -> Answer:
        client, answered = self._clients[service[1]], threading.Event()
        if not client.wait_for_service(ANSWER_TIMEOUT_S):
            return False, f"{node} is not running in this graph."
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(ANSWER_TIMEOUT_S):
            client.remove_pending_request(future)
            return False, f"{node} did not answer within {ANSWER_TIMEOUT_S:.0f} s; look whether it was done."
        answer = future.result()
        return bool(answer.success), str(answer.message)


@contextmanager
def graph_feed(namespace: str) -> Iterator[GraphFeed]:
    """Listen to a graph in other processes, with a node and a thread of its own; raises RosError."""
    stay_on_this_computer()
    context = rclpy.Context()
    start_ros(context)
    executor = SingleThreadedExecutor(context=context)
    try:
        node = Node("review", namespace=namespace, context=context)
    except NameValidationException as error:
        raise RosError(f"'{namespace}' is no namespace: {in_one_sentence(error)}") from error
    executor.add_node(node)
    stop = threading.Event()
    feed = GraphFeed(node)
    thread = threading.Thread(target=spin_until, args=(stop.is_set, executor), name="live feed", daemon=True)
    thread.start()
    try:
        yield feed
    finally:
        stop.set()
        thread.join(STOP_TIMEOUT_S)
        node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown(context=context)


def _flag(query: Query) -> dict[str, Any]:
    moment = datetime.fromtimestamp(to_ns(query.header.stamp) / NANOSECONDS_PER_SECOND, UTC)
    window = str(query.window_id)  # JavaScript's numbers end at 2^53
    return {"window_id": window, "time": moment.isoformat(), "reason": query.reason, "policy": query.policy}


def _session(status: SessionStatus | None) -> dict[str, Any] | None:
    """None: no recorder was heard."""
    if status is None:
        return None
    names = ("recording", "session", "participant", "privacy", "flags", "problem")
    return {name: getattr(status, name) for name in names}
