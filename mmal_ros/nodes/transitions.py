"""Transitions of a lifecycle node that always say why they failed.

What a node foresees it reports itself. Anything else rclpy takes for an error and tells nobody of, and the node would
be idle with an empty log.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from mmal_ros.discretion import discreet
from mmal_ros.stopping import end_if_told

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def accounted(transition: Transition) -> Transition:
    """An `on_…` of a node that has a `failure`: what it did not foresee fails it, is logged, and ends what it began.

    What was begun ends as at a shutdown, by the node's `on_shutdown`.
    """

    @functools.wraps(transition)
    def guarded(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            end_if_told()  # else it may be what a library made of that
            node.failure = f"{transition.__name__} failed: {type(error).__name__}: {error}"
            node.get_logger().error(discreet(f"{node.failure}\n{traceback.format_exc()}"))
            node.on_shutdown(state)
            return TransitionCallbackReturn.FAILURE

    return guarded
