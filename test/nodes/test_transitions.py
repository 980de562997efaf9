"""Whatever happens in a transition, a node says why it failed; what cannot be asked of it costs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from lifecycle_msgs.msg import State, Transition
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from mmal_ros.nodes.transitions import accounted
from rigs.ros import node_process, participant


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


@pytest.mark.parametrize("name", ["engagement_node", "selector_node", "recorder_node", "e4_node"])
@pytest.mark.parametrize("asked", [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP, 200])
def test_a_transition_that_does_not_fit_is_refused_and_ends_nothing(tmp_path: Path, name: str, asked: int) -> None:
    """As when somebody asks again because an answer was lost: rclpy would end the process."""
    told = {"e4_node": {"source": "synthetic"}, "recorder_node": {"sessions": tmp_path}}.get(name, {})
    with participant() as ros, node_process(name, **told) as process:
        ros.activate(name)
        assert not ros.change_state(name, asked)
        assert ros.state(name) == State.PRIMARY_STATE_ACTIVE
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert f"cannot do transition {asked}: it is active" in log
    assert "Traceback" not in log
