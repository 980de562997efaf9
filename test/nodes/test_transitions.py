"""Whatever happens in a transition, a node says why it failed."""

from __future__ import annotations

import pytest
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from mmal_ros.nodes.transitions import accounted
from rigs.ros import participant


class Fragile(LifecycleNode):
    """Fails at what its author has not thought of."""

    def __init__(self) -> None:
        super().__init__("fragile")
        self.failure = ""
        self.ended = 0

    @accounted()
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        raise FileNotFoundError("/nowhere/2026-11-20_P017_01/session.json")

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.ended += 1
        return TransitionCallbackReturn.SUCCESS


def test_what_a_node_did_not_foresee_is_told_and_what_it_began_is_ended(capfd: pytest.CaptureFixture[str]) -> None:
    with participant():
        node = Fragile()
        try:
            assert node.trigger_configure() is TransitionCallbackReturn.FAILURE
        finally:
            node.destroy_node()
    assert node.failure.startswith("on_configure failed: FileNotFoundError: ")
    assert node.ended == 1
    log = capfd.readouterr().err
    assert "test_transitions.py" in log, "where it happened is what helps"
    assert "P017" not in log
