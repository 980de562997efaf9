"""Who may hear the topics."""

from __future__ import annotations

import os


def stay_on_this_computer() -> None:
    """Unless the environment says otherwise: what goes over the topics is about a child. Before `rclpy.init`."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
