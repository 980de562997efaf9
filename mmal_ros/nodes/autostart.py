"""Nodes that a launch starts, and starts again when they died, configure and activate themselves.

Nobody else can do that for a node that died: until DDS gives the dead process up (20 s by default), its service
`change_state` is still there for whoever asks, so what a launch asks for at once goes to the dead and is lost.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from typing import Any

from rclpy.lifecycle import TransitionCallbackReturn

from mmal_ros.nodes.steady import steady_timer
from mmal_ros.nodes.topics import ENGAGEMENT
from mmal_ros.sensors.source import monotonic_s
from mmal_ros.windowing import REACH_S

USAGE_ERROR = 2
"""Exit code of a node that was told what cannot be: a launch does not start it again."""
PERIOD_S = 0.05
"""How often it is looked whether the estimates are there."""
SETTLED_S = monotonic_s() + REACH_S
"""From when on a sensor may measure in a process that read this file as it began: no window sees what another before
it measured."""


class Autostart:
    """Configures a node at once, and activates it when somebody estimates: the first frame is to be heard.

    A sensor at the earliest at `SETTLED_S`, so that windows do not mix what was measured before a restart and after it.

    So a model set that is refused is known before a device is opened. Whoever makes estimates is there for herself.
    A node that refuses stays as it is until somebody configures it, for nobody knows when a model set is mended; its
    log has the reason and what to type then. One that was told what cannot be ends its process.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._timer = steady_timer(node, PERIOD_S, self._configure)

    def _configure(self) -> None:
        self._timer.cancel()
        if self._is_configured():
            self._timer = steady_timer(self._node, PERIOD_S, self._activate)
            self._activate()
        elif self._node.told_wrong:
            sys.exit(USAGE_ERROR)
        else:
            command = f"ros2 lifecycle set {self._node.get_fully_qualified_name()}"
            self._node.get_logger().error(
                f"this node stays unconfigured; when that is mended, type `{command} configure`, "
                f"then `{command} activate`, or start it again"
            )

    def _is_configured(self) -> bool:
        try:
            return self._node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        except RuntimeError:  # somebody has done it by hand
            return True

    def _activate(self) -> None:
        settled = monotonic_s() >= SETTLED_S or not hasattr(self._node, "sensor")
        if settled and self._node.count_publishers(ENGAGEMENT.name):
            self._timer.cancel()
            gc.freeze()  # what is loaded by now stays; nobody need wait while it is looked at for garbage
            with suppress(RuntimeError):  # somebody has done it by hand
                self._node.trigger_activate()
