"""A recorder that died is started again: it goes on with the child who was recorded, and not with what was stopped."""

from __future__ import annotations

import pytest
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from mmal_msgs.srv import StartSession
from mmal_ros.nodes.recorder_node import RecorderNode
from mmal_ros.nodes.spinning import shut_down
from mmal_ros.nodes.topics import ENGAGEMENT, SESSION_STATUS, START_SESSION, STOP_SESSION
from mmal_ros.session import space
from mmal_ros.session.folder import sessions_in
from mmal_ros.session.going_on import PREFIX, GoingOn
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.ros import node_process, participant, wait_until


class Launcher:
    """Starts a recorder as the launch file does, and again when it has died."""

    def __init__(self, ros, root, **parameters):
        self._ros, self._root = ros, root
        self._parameters = {"sessions": root, "activates_itself": True, "privacy": "features_only", **parameters}
        self._status = ros.listen(SESSION_STATUS)
        topic = ENGAGEMENT  # it waits for somebody who estimates
        ros.node.create_publisher(topic.type, topic.name, topic.qos)

    def until_it_records(self, sessions: int) -> float:
        """How long that took, in seconds."""

        def records() -> bool:
            return len(self.participants()) == sessions and bool(self._status) and self._status[-1].recording

        return seconds_until(records)

    def until_it_says(self, more: int = 3) -> None:
        said = len(self._status)
        wait_until(lambda: len(self._status) >= said + more, 30)

    def participants(self) -> list[str]:
        return [folder.card().participant for folder in sessions_in(self._root)]

    def recorder(self):
        return node_process("recorder_node", **self._parameters)


def kill(process) -> None:
    process.kill()
    process.communicate(timeout=20)


@pytest.fixture
def ros():
    with participant() as someone:
        yield someone


def test_a_session_that_was_begun_from_a_page_goes_on_when_its_recorder_died(ros, tmp_path):
    """The launch records P017, but a child later it is P018 who is there."""
    launcher = Launcher(ros, tmp_path, participant="P017", auto_start=True)
    with launcher.recorder() as process:
        launcher.until_it_records(1)
        assert ros.call(*STOP_SESSION, Trigger.Request()).success
        assert ros.call(*START_SESSION, StartSession.Request(participant="P018")).success
        launcher.until_it_records(2)
        kill(process)
    with launcher.recorder() as process:
        back_s = launcher.until_it_records(3)
        assert launcher.participants() == ["P017", "P018", "P018"]
        process.terminate()
        assert "the recorder before this one died" in process.communicate(timeout=20)[1]
    assert list(tmp_path.glob(f"{PREFIX}*")) == [], "who ends in order leaves no note"
    fault = "recorder killed in a session begun from a page"
    keep(Outcome(fault, "SIGKILL, started again: a second session of that child", None, back_s))


def test_what_somebody_stopped_does_not_begin_again_when_the_recorder_dies(ros, tmp_path):
    launcher = Launcher(ros, tmp_path, participant="P017", auto_start=True)
    with launcher.recorder() as process:
        launcher.until_it_records(1)
        assert ros.call(*STOP_SESSION, Trigger.Request()).success
        kill(process)
    with launcher.recorder():
        launcher.until_it_says()
        assert launcher.participants() == ["P017"]
    keep(Outcome("recorder killed when a session was stopped", "SIGKILL, started again: it does not record"))


def test_after_an_end_in_order_everything_is_as_the_launch_says(ros, tmp_path):
    launcher = Launcher(ros, tmp_path)
    with launcher.recorder() as process:
        launcher.until_it_says()
        assert ros.call(*START_SESSION, StartSession.Request(participant="P018")).success
        process.terminate()
        process.communicate(timeout=20)
    with launcher.recorder():
        launcher.until_it_says()
        assert launcher.participants() == ["P018"]


def test_what_another_launch_was_doing_is_nobodys_any_more(tmp_path):
    """Its parent is gone, so this is no second life of its recorder."""
    old = tmp_path / f"{PREFIX}-999999999-17-0123456789abcdef"
    old.write_text('{"start_ns": 5}')
    note = GoingOn(tmp_path, "recorder_node")
    assert not old.exists()
    assert note.recall() is None
    note.remember(7)
    assert GoingOn(tmp_path, "recorder_node").recall().start_ns == 7
    assert GoingOn(tmp_path, "another one").recall() is None


def test_a_launch_that_finds_no_room_begins_to_record_when_there_is(ros, tmp_path, monkeypatch):
    """In this process: a disk with less than a gigabyte that becomes a larger one is hard to get."""
    monkeypatch.setattr(space, "FREE_TO_START", 10**18)
    told = {"sessions": str(tmp_path), "participant": "P017", "auto_start": True, "activates_itself": True}
    node = RecorderNode(parameter_overrides=[Parameter(name, value=value) for name, value in told.items()])
    node.trigger_configure()
    node.trigger_activate()
    assert node.recorder is None
    (report,) = node._reports()
    assert "MB free; a session needs" in report.message
    assert report.message.startswith("no session can begin, which is tried again: ")
    monkeypatch.undo()
    node._look()
    assert node.recorder is not None
    (report,) = node._reports()
    assert report.message == "recording"
    shut_down(node)
