"""The executables: one node, one process, until Ctrl-C or the end of the launch.

What it was told and cannot be is one sentence in the log and exit code 2; the launch file does not start it again then.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import rclpy
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from mmal_ros.nodes.command_line import CommandLineError, check_arguments, files_for_others
from mmal_ros.nodes.discovery import RosError, in_one_sentence, start_ros
from mmal_ros.nodes.parameter_checks import ParameterError

USAGE_ERROR = 2
BOTH = (signal.SIGINT, signal.SIGTERM)
Load = Callable[[], Callable[[], Any]]


def executable(load: Load) -> Callable[[], None]:
    """A program that spins the node whose class the function imports."""

    @wraps(load)
    def program() -> None:
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


def spin(load: Load) -> None:
    """Run a lifecycle node until SIGINT or SIGTERM; whoever launched it configures and activates it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = None
    try:
        node = _made(load)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        rclpy.logging.get_logger(load.__name__).debug("told to stop")
    finally:
        for impatient in BOTH:  # a session that ends still writes its last clips
            signal.signal(impatient, signal.SIG_IGN)
        if node is not None:
            node.trigger_shutdown()
            node.destroy_node()
        rclpy.try_shutdown()


def _made(load: Load) -> Any:
    """The node, if it can be what it was told; else SystemExit, and a sentence in the log."""
    try:
        check_arguments(sys.argv)
        start_ros()
        node = load()()
    except (CommandLineError, ParameterError, RosError) as error:
        _refuse(load.__name__, str(error))
    except (NameValidationException, ParameterException, RuntimeError) as error:  # ROS's own
        _refuse(load.__name__, in_one_sentence(error))
    for sentence in files_for_others(sys.argv, node.get_fully_qualified_name()):
        node.get_logger().warning(sentence)
    return node


def _refuse(program: str, sentence: str) -> NoReturn:
    rclpy.logging.get_logger(program).fatal(sentence)
    sys.exit(USAGE_ERROR)
