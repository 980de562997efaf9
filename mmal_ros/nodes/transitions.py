"""Transitions of a lifecycle node that always say why they failed, and requests for some that cannot be.

rclpy takes any exception of a transition for an error and tells nobody of it, and the node would be idle with an empty
log. A request that does not fit the state, of somebody who asks twice or of two at once, would end its process.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from mmal_ros.discretion import discreet
from mmal_ros.nodes.parameter_checks import ParameterError
from mmal_ros.sensors.specs import SpecError
from mmal_ros.stopping import end_if_told

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]
TOLD_WRONG = (ParameterError, SpecError)
"""What the node was told cannot be: trying again mends nothing."""


class ManagedNode(LifecycleNode):
    """A lifecycle node that says no to a transition which does not fit its state, and goes on."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._change = self._service_change_state.callback
        self._service_change_state.callback = self._on_change_state

    def _on_change_state(self, request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
        try:
            return self._change(request, response)
        except rclpy_implementation.RCLError:
            asked = request.transition.label or request.transition.id
            self.get_logger().warning(f"cannot do transition {asked}: it is {self._state_machine.current_state[1]}")
            response.success = False
            return response


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
