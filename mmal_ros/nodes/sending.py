"""Sending a message, also when the middleware cannot take it: a lost message is better than a lost node."""

from __future__ import annotations

from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.logging import get_logger

QUIET_S = 10.0
"""Between two lines in the log."""
MUST_ARRIVE = 5
"""Tries for what nobody would say again."""


def send(publisher: Any, message: Any, tries: int = 1) -> bool:
    """Publish; returns whether the middleware took it, at the latest at the last of so many tries.

    It gives up after 100 ms, on a machine that stands still or when a subscriber was killed, and rclpy raises then
    (ros2/rmw_fastrtps#310, #317): whoever does not expect that ends.
    """
    for _ in range(tries):
        try:
            publisher.publish(message)
        except rclpy_implementation.RCLError as error:
            problem = f"{publisher.topic_name}: a message is lost: {error}"
        else:
            return True
    get_logger("sending").log(problem, LoggingSeverity.ERROR, throttle_duration_sec=QUIET_S)
    return False
