"""A recorder that died is started again: it goes on with the child who was recorded, and not with what was stopped."""

from __future__ import annotations

import os
import time

import pytest
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from mmal_msgs.srv import StartSession
from mmal_ros.files import private_folder
from mmal_ros.nodes.recorder_node import UNREADABLE, RecorderNode
from mmal_ros.nodes.spinning import shut_down
from mmal_ros.nodes.topics import ENGAGEMENT, SESSION_STATUS, START_SESSION, STOP_SESSION
from mmal_ros.session import space
from mmal_ros.session.folder import sessions_in
from mmal_ros.session.going_on import OLD_S, GoingOn
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.ros import NAMESPACE, node_process, participant, wait_until
from rigs.sessions import make_session
from rigs.small_disk import SmallDisk


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

    def until_another_one_is_recorded(self, participant: str) -> None:
        """Somebody at a page ends the first session, and begins one of somebody else."""
        self.until_it_records(1)
        assert self._ros.call(*STOP_SESSION, Trigger.Request()).success
        assert self._ros.call(*START_SESSION, StartSession.Request(participant=participant)).success
        self.until_it_records(2)

    def until_it_complains(self, words: str) -> float:
        """How long that took, in seconds."""
        return seconds_until(lambda: bool(self._status) and words in self._status[-1].problem)

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


@pytest.fixture(autouse=True)
def notes(tmp_path_factory, monkeypatch):
    """Where recorders note what they do."""
    runtime = tmp_path_factory.mktemp("runtime")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return private_folder(runtime / "mmal_ros")


def test_a_session_that_was_begun_from_a_page_goes_on_when_its_recorder_died(ros, tmp_path, notes):
    """The launch records P017, but a child later it is P018 who is there."""
    launcher = Launcher(ros, tmp_path, participant="P017", auto_start=True)
    with launcher.recorder() as process:
        launcher.until_another_one_is_recorded("P018")
        kill(process)
    with launcher.recorder() as process:
        back_s = launcher.until_it_records(3)
        assert launcher.participants() == ["P017", "P018", "P018"]
        process.terminate()
        assert "the recorder before this one died" in process.communicate(timeout=20)[1]
    assert list(notes.iterdir()) == [], "who ends in order leaves no note"
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


def test_a_session_whose_disk_is_away_goes_on_when_the_disk_is_back(ros, tmp_path):
    """The recorder died with its disk, and is started again before that is plugged in again."""
    root, away = tmp_path / "sessions", tmp_path / "away"
    launcher = Launcher(ros, root, participant="P017", auto_start=True)
    with launcher.recorder() as process:
        launcher.until_another_one_is_recorded("P018")
        kill(process)
    root.rename(away)
    with launcher.recorder() as process:
        detected_s = launcher.until_it_complains(UNREADABLE)
        assert not root.exists(), "nobody else is recorded instead"
        away.rename(root)
        back_s = launcher.until_it_records(3)
        assert launcher.participants() == ["P017", "P018", "P018"]
    keep(Outcome("recorder killed, and its sessions' disk away for a while", "SIGKILL, renamed", detected_s, back_s))


@pytest.mark.parametrize("what", ["stop", "start"])
def test_a_session_whose_disk_is_away_need_not_go_on(ros, tmp_path, what):
    """Somebody stops it, or starts another one; whoever comes next knows."""
    node = recorder_in_this_process(tmp_path, before=make_session(tmp_path / "gone", "P018"))
    assert node.recorder is None
    (report,) = node._reports()
    assert report.message == f"no session can begin, which is tried again: {UNREADABLE}"
    if what == "stop":
        assert node._on_stop(Trigger.Request(), Trigger.Response()).success
    else:
        assert node._on_start(StartSession.Request(participant="P019"), StartSession.Response()).success
    node._look()
    (report,) = node._reports()
    assert report.message == {"stop": "nothing is being recorded", "start": "recording"}[what]
    noted = note_of(node, tmp_path).recall()
    assert noted.is_stopped is (what == "stop")
    assert what == "stop" or noted.card.participant == "P019"
    shut_down(node)


def test_what_was_going_on_a_day_ago_is_over(tmp_path, notes):
    """Somebody left a terminal open over night, and starts a recorder in it again: another child may be there."""
    GoingOn(tmp_path, "recorder_node").remember(make_session(tmp_path, "P017"))
    age_notes(notes, 86_400)
    assert GoingOn(tmp_path, "recorder_node").recall() is None
    assert list(notes.iterdir()) == [], "nor is it kept fresh from now on"


def test_that_somebody_stopped_it_holds_until_somebody_starts_it(tmp_path, notes):
    GoingOn(tmp_path, "recorder_node").remember(None)
    age_notes(notes, 86_400)
    assert GoingOn(tmp_path, "recorder_node").recall().is_stopped


def test_a_recorder_that_waited_long_before_it_asks_goes_on_all_the_same(tmp_path, notes):
    """As for somebody who makes estimates."""
    GoingOn(tmp_path, "recorder_node").remember(make_session(tmp_path, "P017"))
    note = GoingOn(tmp_path, "recorder_node")
    note._came_s -= 86_400  # and what was noted is as old
    age_notes(notes, 86_400)
    assert note.recall().card.participant == "P017"


def test_who_records_keeps_its_note_fresh(ros, tmp_path, notes):
    node = recorder_in_this_process(tmp_path)
    age_notes(notes, 86_400)
    node._look()
    (note,) = notes.iterdir()
    assert time.time() - note.stat().st_mtime < OLD_S
    shut_down(node)


def age_notes(notes, seconds: float) -> None:
    for note in notes.iterdir():
        os.utime(note, (time.time() - seconds,) * 2)


def test_what_another_launch_was_doing_is_nobodys_any_more(tmp_path, notes):
    """Its parent is gone, so this is no second life of its recorder."""
    old = notes / "999999999-17-0123456789abcdef"
    old.write_text("5")
    note = GoingOn(tmp_path, "recorder_node")
    assert not old.exists()
    assert note.recall() is None
    first, second = (make_session(tmp_path, participant) for participant in ("P017", "P018"))
    assert first.card().start_ns == second.card().start_ns  # as simulated clocks have it
    note.remember(second)
    assert GoingOn(tmp_path, "recorder_node").recall().card.participant == "P018"
    assert GoingOn(tmp_path, "another one").recall() is None
    assert GoingOn(tmp_path / "others", "recorder_node").recall() is None
    assert not any("P018" in path.name + path.read_text() for path in notes.iterdir())


def test_that_somebody_stopped_it_needs_no_room(tmp_path, disk: SmallDisk, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(disk.path))
    note = GoingOn(tmp_path, "recorder_node")
    note.remember(make_session(tmp_path, "P017"))
    disk.fill()
    note.remember(None)
    assert GoingOn(tmp_path, "recorder_node").recall().card is None


def test_where_nothing_can_be_noted_it_records_as_ever(tmp_path, notes):
    """Somebody else's folder is in the place of ours."""
    notes.chmod(0o777)
    note = GoingOn(tmp_path, "recorder_node")
    note.remember(make_session(tmp_path, "P017"))
    note.remember(None)
    note.forget()
    assert note.recall() is None
    assert list(notes.iterdir()) == []


def test_what_changed_after_the_start_is_remembered_too(ros, tmp_path):
    """Another participant by lifecycle and parameters, as the node's own errors advise; then it dies."""
    launcher = Launcher(ros, tmp_path, participant="P017", auto_start=True)
    with launcher.recorder() as process:
        launcher.until_it_records(1)
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
            assert ros.change_state("recorder_node", transition)
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="P018")
        told = SetParameters.Request(parameters=[ParameterMessage(name="participant", value=value)])
        ros.call(SetParameters, f"{NAMESPACE}/recorder_node/set_parameters", told)
        ros.activate("recorder_node")
        launcher.until_it_records(2)
        kill(process)
    with launcher.recorder():
        launcher.until_it_records(3)
        assert launcher.participants() == ["P017", "P018", "P018"]


def test_a_session_that_waits_to_begin_can_be_taken_back(ros, tmp_path, monkeypatch):
    monkeypatch.setattr(space, "FREE_TO_START", 10**18)
    node = recorder_in_this_process(tmp_path)
    answer = node._on_stop(Trigger.Request(), Trigger.Response())
    assert answer.success
    monkeypatch.undo()
    node._look()
    assert node.recorder is None
    assert not node._on_stop(Trigger.Request(), Trigger.Response()).success
    shut_down(node)


def recorder_in_this_process(root, before=None):
    """Active. Before: the session of one that died."""
    told = {"sessions": str(root), "participant": "P017", "auto_start": True, "activates_itself": True}
    node = RecorderNode(parameter_overrides=[Parameter(name, value=value) for name, value in told.items()])
    if before is not None:
        note_of(node, root).remember(before)
    node.trigger_configure()
    node.trigger_activate()
    return node


def note_of(node, root) -> GoingOn:
    """What it leaves to the one after it, or finds of the one before."""
    return GoingOn(root, f"{node.get_fully_qualified_name()} {node._told}")


def test_a_session_that_cannot_begin_leaves_nothing_open(ros, tmp_path, monkeypatch):
    """It is tried again every second, for as long as the disk is as it is."""

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    node = recorder_in_this_process(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        node._look()
    assert len(os.listdir("/proc/self/fd")) == before
    (report,) = node._reports()
    assert "Input/output error" in report.message
    shut_down(node)


def test_a_launch_that_finds_no_room_begins_to_record_when_there_is(ros, tmp_path, monkeypatch):
    """In this process: a disk with less than a gigabyte that becomes a larger one is hard to get."""
    monkeypatch.setattr(space, "FREE_TO_START", 10**18)
    node = recorder_in_this_process(tmp_path)
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
