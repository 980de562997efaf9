"""The executables: one node, one process, until Ctrl-C or the end of the launch.

Nothing is imported here that takes time: the vision process loads this file, too, before it does its work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

Load = Callable[[], Callable[[], Any]]


def executable(load: Load) -> Callable[[], None]:
    """A program that spins the node whose class the function imports."""

    @wraps(load)
    def program() -> None:
        from mmal_ros.nodes.node_process import spin

        spin(load)

    return program


@executable
def camera_node() -> Any:
    """FACE and BODY features from a camera."""
    from mmal_ros.nodes.camera_node import CameraNode

    return CameraNode


@executable
def microphone_node() -> Any:
    """AUDIO features from a microphone."""
    from mmal_ros.nodes.microphone_node import MicrophoneNode

    return MicrophoneNode


@executable
def e4_node() -> Any:
    """A-PHYS features and raw signals from a wristband."""
    from mmal_ros.nodes.e4_node import E4Node

    return E4Node


@executable
def engagement_node() -> Any:
    """Engagement estimates from features."""
    from mmal_ros.nodes.engagement_node import EngagementNode

    return EngagementNode


@executable
def selector_node() -> Any:
    """Flags of the few windows that are worth a label."""
    from mmal_ros.nodes.selector_node import SelectorNode

    return SelectorNode


@executable
def recorder_node() -> Any:
    """Sessions on disk."""
    from mmal_ros.nodes.recorder_node import RecorderNode

    return RecorderNode
