"""To run the nodes of a process, and to end one, whatever happens to them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from rclpy.executors import Executor, ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation

from mmal_ros.sensors.source import monotonic_s

PERIOD_S = 0.2
"""How often it is asked whether the end has come."""
QUIET_S = 10.0
"""Between two failures that are told: the next one may come a tenth of a second later."""
log = logging.getLogger(__name__)


def spin_until(ended: Callable[[], bool], executor: Executor) -> None:
    """Do what there is to do. A callback that fails costs its own work and a line in the log, not everybody's."""
    next_told_s = 0.0
    while not ended():
        try:
            executor.spin_once(timeout_sec=PERIOD_S)
        except ExternalShutdownException:
            return
        except Exception:  # of any callback
            if monotonic_s() >= next_told_s:
                next_told_s = monotonic_s() + QUIET_S
                log.exception("a callback failed; the graph goes on without what it would have done")


def shut_down(node: Any) -> None:
    """End a lifecycle node, also one that was stopped by Ctrl-C in a transition, out of which ROS knows no way."""
    try:
        node.trigger_shutdown()
    except rclpy_implementation.RCLError:
        node.on_shutdown(None)
    node.destroy_node()
