"""Timers that nobody's setting of the clock stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node


def steady_timer(node: Node, period_s: float, callback: Callable[[], Any], **options: Any) -> Any:
    """A timer of the steady clock; a node's own would rest for five seconds when the clock is set back by five."""
    return node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME), **options)
