"""Into ROS and out of it: who may hear the topics, and what is wrong with the environment in one sentence."""

from __future__ import annotations

import os
from typing import Any

import rclpy
from rclpy.signals import SignalHandlerOptions

LAST_DOMAIN = 232
"""Ports of a higher domain would not exist: https://docs.ros.org/en/jazzy/Concepts/Intermediate/About-Domain-ID.html"""
IN_ITS_SOURCE = ", at /"
"""What follows is a place in the source of rcl."""


class RosError(ValueError):
    """ROS cannot be started as things are; the message says why."""


def stay_on_this_computer() -> None:
    """Unless the environment says otherwise: what goes over the topics is about a child. Before `start_ros`."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


def start_ros(context: Any = None) -> None:
    """`rclpy.init` that leaves Ctrl-C to the caller, for rclpy's would end ROS before the nodes can say goodbye.

    Raises:
        RosError: environment or arguments are wrong.
    """
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    if not (domain.isdecimal() and int(domain) <= LAST_DOMAIN):  # a higher one ends the process from within
        raise RosError(f"ROS_DOMAIN_ID is '{domain}'; expected 0 to {LAST_DOMAIN}")
    try:
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        raise RosError(in_one_sentence(error)) from error


def in_one_sentence(error: Exception) -> str:
    """What ROS says, without where in its source it says so."""
    return f"ROS refuses what it was started with: {' '.join(str(error).partition(IN_ITS_SOURCE)[0].split())}"
