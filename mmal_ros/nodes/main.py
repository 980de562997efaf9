"""The executables: one node, one process, until Ctrl-C or the end of the launch."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from mmal_ros.discretion import log_discreetly
from mmal_ros.files import keep_private


def camera_node() -> None:
    """FACE and BODY features from a camera."""
    from mmal_ros.nodes.camera_node import CameraNode

    spin(CameraNode)


def microphone_node() -> None:
    """AUDIO features from a microphone."""
    from mmal_ros.nodes.microphone_node import MicrophoneNode

    spin(MicrophoneNode)


def e4_node() -> None:
    """A-PHYS features and raw signals from a wristband."""
    from mmal_ros.nodes.e4_node import E4Node

    spin(E4Node)


def engagement_node() -> None:
    """Engagement estimates from features."""
    from mmal_ros.nodes.engagement_node import EngagementNode

    spin(EngagementNode)


def selector_node() -> None:
    """Flags of the few windows that are worth a label."""
    from mmal_ros.nodes.selector_node import SelectorNode

    spin(SelectorNode)


def recorder_node() -> None:
    """Sessions on disk."""
    from mmal_ros.nodes.recorder_node import RecorderNode

    spin(RecorderNode)


def spin(make_node: Callable[[], Any]) -> None:
    """Run a lifecycle node until SIGINT or SIGTERM; whoever launched it configures and activates it."""
    keep_private()
    log_discreetly()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # rclpy's would end ROS before the node can say goodbye
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = make_node()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        node.get_logger().debug("told to stop")
    finally:
        for impatient in (signal.SIGINT, signal.SIGTERM):  # a session that ends still writes its last clips
            signal.signal(impatient, signal.SIG_IGN)
        node.trigger_shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
