"""A process with one node in it.

What it was told and cannot be is one sentence in the log and exit code 2; the launch file does not start it again then.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import rclpy
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from mmal_ros.discretion import discreet, log_discreetly
from mmal_ros.files import keep_private
from mmal_ros.nodes.autostart import USAGE_ERROR, Autostart
from mmal_ros.nodes.command_line import CommandLineError, check_arguments, files_for_others
from mmal_ros.nodes.discovery import RosError, in_one_sentence, start_ros, stay_on_this_computer
from mmal_ros.nodes.parameter_checks import ParameterError
from mmal_ros.nodes.spinning import PERIOD_S, shut_down
from mmal_ros.stopping import ALL, end_if_told, heed_signals, leave_soon, told_to_stop

Load = Callable[[], Callable[[], Any]]
"""Imports a node's class and returns it."""


def spin(load: Load) -> None:
    """Run a lifecycle node until SIGINT, SIGTERM or SIGHUP.

    With the parameter `activates_itself` it does as it says; without it, whoever launched it configures and activates
    it.
    """
    keep_private()
    log_discreetly()
    heed_signals()
    node = None
    try:
        node = _made(load)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        if node.get_parameter("activates_itself").value:
            Autostart(node)
        while not told_to_stop():
            executor.spin_once(PERIOD_S)
    except (KeyboardInterrupt, ExternalShutdownException):
        rclpy.logging.get_logger(load.__name__).debug("told to stop")
    except Exception:
        if not told_to_stop():  # else it is what a library made of that
            raise
    finally:
        for impatient in ALL:  # a session that ends still writes its last clips
            signal.signal(impatient, signal.SIG_IGN)
        if node is not None:
            shut_down(node)
        rclpy.try_shutdown()
        leave_soon()


def _made(load: Load) -> Any:
    """The node, if it can be what it was told; else SystemExit, and a sentence in the log."""
    try:
        check_arguments(sys.argv)
        stay_on_this_computer()
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
    end_if_told()
    rclpy.logging.get_logger(program).fatal(discreet(sentence))
    sys.exit(USAGE_ERROR)
