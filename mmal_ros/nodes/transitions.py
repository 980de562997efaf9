"""Transitions of a lifecycle node that always say why they failed.

rclpy takes any exception for an error and tells nobody of it, and the node would be idle with an empty log.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from mmal_ros.discretion import discreet
from mmal_ros.nodes.parameter_checks import ParameterError
from mmal_ros.sensors.specs import SpecError
from mmal_ros.stopping import end_if_told

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]
TOLD_WRONG = (ParameterError, SpecError)
"""What the node was told cannot be: trying again mends nothing."""


def accounted(*foreseen: type[Exception]) -> Callable[[Transition], Transition]:
    """An `on_…` of a node that has a `failure`: what it raises fails it, is told there and in the log, and ends.

    What was begun ends as at a shutdown, by the node's `on_shutdown`. Its `told_wrong` is whether that is one of
    `TOLD_WRONG`.

    Args:
        foreseen: whose message is the whole reason; of others the log has the traceback, too.
    """

    def decorated(transition: Transition) -> Transition:
        @functools.wraps(transition)
        def guarded(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
            node.failure = where = ""
            node.told_wrong = False
            try:
                return transition(node, state)
            except foreseen as error:
                node.failure, node.told_wrong = str(error), isinstance(error, TOLD_WRONG)
            except Exception as error:
                end_if_told()  # else it may be what a library made of that
                node.failure = f"{transition.__name__} failed: {type(error).__name__}: {error}"
                where = f"\n{traceback.format_exc()}"
            node.get_logger().error(discreet(node.failure + where))
            node.on_shutdown(state)
            return TransitionCallbackReturn.FAILURE

        return guarded

    return decorated
