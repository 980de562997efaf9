"""recorder_node while a session begins or ends, which takes long: who comes in between costs nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from mmal_msgs.msg import Query
from mmal_msgs.srv import StartSession
from mmal_ros.nodes import recorder_node
from mmal_ros.nodes.conversions import to_time
from mmal_ros.nodes.recorder_node import STATUS_PERIOD_S, RecorderNode
from mmal_ros.nodes.spinning import shut_down, spin_until
from mmal_ros.nodes.topics import IMAGE, QUERY, RECORDED
from mmal_ros.session.bag import LOCK_FILE
from mmal_ros.session.bag_metadata import is_complete
from mmal_ros.session.folder import sessions_in
from mmal_ros.session.recorder import SessionRecorder
from mmal_ros.session.store import SessionStore
from rigs.ctrl_c import hear_ctrl_c
from rigs.ros import NAMESPACE, participant, wait_until

SLOW_S = 1.5 * STATUS_PERIOD_S
"""Longer than until the next look whether a session should begin."""
SLOW_CLIPS = """
import time
from mmal_ros.nodes.main import recorder_node
from mmal_ros.session import clip_encoder

real = clip_encoder.encode_clip

def encode_clip(*arguments):
    time.sleep(4)
    real(*arguments)

clip_encoder.encode_clip = encode_clip
recorder_node()
"""
LATER_NS = 15 * 10**9
"""Stamps are so far ahead that a clip is not cut before the session ends."""


@pytest.fixture
def ros():
    with participant() as someone:
        yield someone


@pytest.fixture
def node(ros, tmp_path, monkeypatch) -> Iterator[RecorderNode]:
    """Begins a session when it is activated, on a slow disk."""

    def begun_slowly(*arguments: object) -> SessionRecorder:
        time.sleep(SLOW_S)
        return SessionRecorder(*arguments)

    monkeypatch.setattr(recorder_node, "SessionRecorder", begun_slowly)
    told = {"sessions": str(tmp_path), "participant": "P017", "privacy": "features_only", "auto_start": True}
    node = RecorderNode(parameter_overrides=[Parameter(name, value=value) for name, value in told.items()])
    node.trigger_configure()
    yield node
    shut_down(node)


@contextmanager
def spun(node: RecorderNode) -> Iterator[None]:
    """As in `mmal run`: by a thread of its own, beside the one that activates."""
    executor, ended = SingleThreadedExecutor(), threading.Event()
    executor.add_node(node)
    thread = threading.Thread(target=spin_until, args=(ended.is_set, executor))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        executor.shutdown()


def participants(root: Path) -> list[str]:
    return [folder.card().participant for folder in sessions_in(root)]


def test_a_slow_disk_begins_one_session_and_not_a_second_one_at_the_next_look(node, tmp_path):
    with spun(node):
        node.trigger_activate()
    assert participants(tmp_path) == ["P017"]


def test_a_page_that_wants_a_session_while_one_begins_hears_of_that(node, tmp_path):
    answers = []

    def ask() -> None:
        answers.append(node._on_start(StartSession.Request(participant="P018"), StartSession.Response()))

    page = threading.Timer(SLOW_S / 3, ask)
    page.start()
    node.trigger_activate()
    page.join()
    assert "is being recorded; stop it first" in answers[0].message
    assert participants(tmp_path) == ["P017"]


@contextmanager
def recorder_with_slow_clips(root: Path) -> Iterator[subprocess.Popen[str]]:
    told = {"sessions": root, "participant": "P017", "auto_start": True}
    settings = [part for name, value in told.items() for part in ("-p", f"{name}:={value}")]
    command = [sys.executable, "-c", SLOW_CLIPS, "--ros-args", "-r", f"__ns:={NAMESPACE}", *settings]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("impatient", [signal.SIGINT, signal.SIGTERM])
def test_who_is_impatient_while_the_last_clip_is_waited_for_gets_it_all_the_same(ros, tmp_path, impatient):
    recorded = ros.listen(RECORDED)
    with recorder_with_slow_clips(tmp_path) as process:
        ros.activate("recorder_node")
        images, queries = ros.publisher(IMAGE), ros.publisher(QUERY)
        flag(images, queries, 5)
        wait_until(lambda: recorded, 20)
        deactivate = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
        answer = ros.ask(ChangeState, f"{NAMESPACE}/recorder_node/change_state", deactivate, 1.0)
        assert answer is None, "it did not wait for the clip"
        process.send_signal(impatient)
        process.communicate(timeout=60)
    (folder,) = sessions_in(tmp_path)
    assert is_complete(folder.bag)
    assert not (folder.path / LOCK_FILE).exists()
    assert folder.clip_of(5).stat().st_size > 1000
    with SessionStore(folder.labels) as store:
        assert [flag.clip for flag in store.flags()] == ["clips/5.mp4"]


def flag(images, queries, window_id: int) -> None:
    """Four seconds of grey pictures, ten times as fast; a window in them is flagged."""
    start_ns = time.time_ns() + LATER_NS
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 99, np.uint8))[1].tobytes()
    for number in range(40):
        stamp = to_time(start_ns + number * 100_000_000)
        images.publish(CompressedImage(header=Header(stamp=stamp), format="jpeg", data=jpeg))
        time.sleep(0.01)
    queries.publish(Query(header=Header(stamp=to_time(start_ns + 3_500_000_000)), window_id=window_id))
