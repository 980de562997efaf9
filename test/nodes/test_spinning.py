"""What fails in one callback, or in the middleware, does not take the rest with it."""

from __future__ import annotations

import logging
import threading

import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

from mmal_ros.nodes.discovery import start_ros
from mmal_ros.nodes.sending import MUST_ARRIVE, send
from mmal_ros.nodes.spinning import spin_until
from rigs.ros import wait_until


def test_a_callback_that_fails_again_and_again_keeps_no_other_from_working(caplog: pytest.LogCaptureFixture) -> None:
    import rclpy

    start_ros()
    node, stop, worked = Node("two_timers"), threading.Event(), []
    node.create_timer(0.02, lambda: 1 / 0)
    node.create_timer(0.02, lambda: worked.append(True))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=spin_until, args=(stop.is_set, executor))
    with caplog.at_level(logging.ERROR):
        thread.start()
        wait_until(lambda: len(worked) > 20, 20)
    stop.set()
    thread.join(10)
    node.destroy_node()
    rclpy.try_shutdown()
    assert not thread.is_alive()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


class Refusing:
    """A publisher whose middleware refuses a few times: the real one does so when a machine stands still for 100 ms."""

    topic_name = "/mmal/query"

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.sent: list[str] = []

    def publish(self, message: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise rclpy_implementation.RCLError("cannot publish data")
        self.sent.append(message)


def test_a_message_that_the_middleware_refuses_is_lost_and_nothing_else() -> None:
    publisher = Refusing(1)
    assert [send(publisher, "first"), send(publisher, "second")] == [False, True]
    assert publisher.sent == ["second"]


def test_what_nobody_would_say_again_is_tried_again() -> None:
    publisher = Refusing(MUST_ARRIVE - 1)
    assert send(publisher, "a flag", MUST_ARRIVE)
    assert publisher.sent == ["a flag"]
