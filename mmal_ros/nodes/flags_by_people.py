"""What people do to flags while a session runs: the services, and the wristband's button."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from mmal_msgs.msg import Engagement, SignalChunk
from mmal_msgs.srv import FlagNow, GetBudget, Unflag
from mmal_ros.nodes.conversions import to_ns
from mmal_ros.nodes.topics import FLAG_NOW, GET_BUDGET, UNFLAG
from mmal_ros.selector.live import LiveSelector
from mmal_ros.selector.live_vocabulary import Decision
from mmal_ros.selector.reasons import BY_HAND, WRISTBAND_BUTTON
from mmal_ros.selector.registry import SelectorError


class FlagsByPeople:
    """Flag now, un-flag, ask for the budget."""

    def __init__(
        self,
        node: Node,
        selector: Callable[[], LiveSelector],
        moment: Callable[[], Engagement],
        publish: Callable[[Decision], None],
    ) -> None:
        """Offer the services.

        Args:
            node: offers them.
            selector: gives the one of the running session.
            moment: gives the newest estimate; raises SelectorError when nothing can be flagged now.
            publish: tells the world what was decided.
        """
        self._node = node
        self._selector = selector
        self._moment = moment
        self._publish = publish
        self._services = [
            node.create_service(*FLAG_NOW, self._on_flag_now),
            node.create_service(*UNFLAG, self._on_unflag),
            node.create_service(*GET_BUDGET, self._on_get_budget),
        ]

    def destroy(self) -> None:
        """Offer them no longer."""
        for service in self._services:
            self._node.destroy_service(service)

    def on_tag(self, message: SignalChunk) -> None:
        """The wearer of the wristband pressed its button."""
        try:
            self._flag_now(WRISTBAND_BUTTON)
        except SelectorError as error:
            self._node.get_logger().warning(f"the wristband's button flagged nothing: {error}")

    def _on_flag_now(self, request: FlagNow.Request, response: FlagNow.Response) -> FlagNow.Response:
        try:
            decision = self._flag_now(request.reason or BY_HAND)
        except SelectorError as error:
            response.message = str(error)
            return response
        response.success, response.window_id = True, decision.flag.window_id
        response.message = f"window {decision.flag.window_id} is flagged; {decision.budget_left} labels are left"
        return response

    def _on_unflag(self, request: Unflag.Request, response: Unflag.Response) -> Unflag.Response:
        try:
            decision = self._selector().take_back(request.window_id)
        except SelectorError as error:
            response.message = str(error)
            return response
        self._publish(decision)
        response.success = True
        response.message = f"window {request.window_id} is not flagged any more; {decision.budget_left} labels are left"
        return response

    def _on_get_budget(self, request: GetBudget.Request, response: GetBudget.Response) -> GetBudget.Response:
        selector = self._selector()
        response.budget, response.left, response.policy = selector.budget, selector.left, selector.policy.name
        response.flagged = [flag.window_id for flag in selector.flags]
        return response

    def _flag_now(self, reason: str) -> Decision:
        moment = self._moment()
        decision = self._selector().flag_by_hand(moment.window_id, to_ns(moment.header.stamp), reason)
        self._publish(decision)
        return decision
