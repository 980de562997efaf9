"""recorder_node in a process of its own: what the graph says becomes a session that others can open."""

from __future__ import annotations

import gc
import re
import signal
import time
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rclpy.parameter import Parameter
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from mmal_msgs.msg import ModelInfo, Query
from mmal_msgs.srv import StartSession
from mmal_ros.datatypes import FeatureFrame, Modality, Sample
from mmal_ros.model_card import ModelError
from mmal_ros.nodes.conversions import frame_to_message, sample_to_message, to_ns, to_time
from mmal_ros.nodes.parameters import ParameterError
from mmal_ros.nodes.recorder_node import RecorderNode
from mmal_ros.nodes.recorder_parameters import RecorderParameters, session_card
from mmal_ros.nodes.spinning import shut_down
from mmal_ros.nodes.topics import (
    DIAGNOSTICS,
    FEATURES,
    IMAGE,
    MODEL_INFO,
    QUERY,
    RECORDED,
    SESSION_STATUS,
    SIGNALS,
    SOUND,
    START_SESSION,
    STOP_SESSION,
)
from mmal_ros.session.bag_metadata import is_complete
from mmal_ros.session.card import SessionError
from mmal_ros.session.folder import SessionFolder, sessions_in
from mmal_ros.session.store import SessionStore
from rigs.ros import message_of, node_process, participant, wait_until

FACE = FEATURES[Modality.FACE]


@pytest.fixture
def ros():
    with participant() as someone:
        yield someone


def start(ros, **wishes: str) -> StartSession.Response:
    return ros.call(*START_SESSION, StartSession.Request(**wishes))


def stop(ros) -> Trigger.Response:
    return ros.call(*STOP_SESSION, Trigger.Request())


def query(window_id: int, stamp_ns: int, action: int = Query.FLAGGED) -> Query:
    header = Header(stamp=to_time(stamp_ns))
    return Query(header=header, window_id=window_id, action=action, policy="mmql", reason="no modality is sure")


def publish_faces(publisher, count: int) -> list[int]:
    """Feature frames, 100 a second; returns their stamps."""
    stamps = []
    for number in range(count):
        stamps.append(time.time_ns())
        values = np.full(257, number, np.float32)
        frame = FeatureFrame(Modality.FACE, stamps[-1], values, True, 1.0, "mediapipe-face")
        publisher.publish(frame_to_message(frame, "camera"))
        time.sleep(0.01)
    return stamps


def test_features_and_flags_of_a_session_are_on_disk(ros, tmp_path):
    status, recorded = ros.listen(SESSION_STATUS), ros.listen(RECORDED)
    with node_process("recorder_node", sessions=tmp_path, privacy="features_only", devices="['camera=device:0']"):
        ros.activate("recorder_node")
        faces, bvp = ros.publisher(FACE), ros.publisher(SIGNALS["bvp"])
        queries, models = ros.publisher(QUERY), ros.publisher(MODEL_INFO)
        models.publish(ModelInfo(name="demo", version="2"))
        publish_faces(faces, 5)
        answer = start(ros, participant="P017")
        assert answer.success, answer.message
        folder = SessionFolder(tmp_path / answer.folder.rpartition("/")[2])
        wait_until(lambda: status and status[-1].recording, 5)
        assert (status[-1].session, status[-1].participant) == (folder.name, "P017")

        stamps = publish_faces(faces, 100)
        bvp.publish(sample_to_message(Sample("bvp", stamps[0], np.arange(6, dtype=np.float32), 64.0), "wristband"))
        queries.publish(query(77, stamps[50]))
        wait_until(lambda: recorded, 10)
        with SessionStore(folder.labels) as store:
            (flag,) = store.flags()
        assert (flag.window_id, flag.stamp_ns, flag.policy) == (77, stamps[50], "mmql")
        assert (recorded[0].session, recorded[0].window_id, recorded[0].clip) == (folder.name, 77, "")
        assert stop(ros).success
        assert not stop(ros).success
        wait_until(lambda: not status[-1].recording, 5)
        publish_faces(faces, 5)

    card = folder.card()
    assert (card.model, card.devices, card.end is not None) == ("demo/2", {"camera": "device:0"}, True)
    with AnyReader([folder.bag]) as reader:
        found = {name: topic.msgcount for name, topic in reader.topics.items() if topic.msgcount}
        recorded_stamps, numbers = [], []
        for at, _, raw in reader.messages(connections=reader.topics["/mmal/features/face"].connections):
            message = reader.deserialize(raw, at.msgtype)
            recorded_stamps.append(to_ns(message.header.stamp))
            numbers.append(int(message.values[256]))
    assert found.keys() == {f"/mmal/{name}" for name in ("features/face", "e4/bvp", "query", "model/info")}
    assert recorded_stamps == [stamps[number] for number in numbers], "only what came while it was recorded"
    assert len(numbers) > 90


def see_and_hear(ros, start_ns: int, seconds: float) -> None:
    """Grey pictures and silence with the stamps of so many seconds, ten times as fast."""
    images, sound = ros.publisher(IMAGE), ros.publisher(SOUND)
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 99, np.uint8))[1].tobytes()
    for number in range(round(seconds * 10)):
        stamp_ns = start_ns + number * 100_000_000
        images.publish(CompressedImage(header=Header(stamp=to_time(stamp_ns)), format="jpeg", data=jpeg))
        silence = Sample("microphone", stamp_ns, np.zeros(1600, np.float32), 16_000.0)
        sound.publish(sample_to_message(silence, "microphone"))
        time.sleep(0.01)


def test_a_flag_gets_a_clip_and_loses_it_when_it_is_taken_back(ros, tmp_path):
    recorded = ros.listen(RECORDED)
    with node_process("recorder_node", sessions=tmp_path, participant="P017", auto_start=True):
        ros.activate("recorder_node")
        (folder,) = sessions_in(tmp_path)
        queries = ros.publisher(QUERY)
        start_ns = folder.card().start_ns
        see_and_hear(ros, start_ns, 4.0)
        queries.publish(query(5, start_ns + 3_500_000_000))
        see_and_hear(ros, start_ns + 4_000_000_000, 4.0)
        wait_until(lambda: len(recorded) >= 2, 20)
        assert [message.clip for message in recorded] == ["", "clips/5.mp4"]
        assert folder.clip_of(5).stat().st_size > 1000

        queries.publish(query(5, start_ns + 3_500_000_000, Query.WITHDRAWN))
        wait_until(lambda: len(recorded) >= 3, 10)
        assert recorded[2].withdrawn
        assert not folder.clip_of(5).exists()
        assert stop(ros).success
    with AnyReader([folder.bag]) as reader:
        assert {"/mmal/image/compressed", "/mmal/sound"} & set(reader.topics) == set()


def test_pictures_and_sound_are_listened_to_as_privacy_allows(ros, tmp_path):
    def listeners() -> list[int]:
        return [ros.node.count_subscribers(topic.name) for topic in (IMAGE, SOUND)]

    with node_process("recorder_node", sessions=tmp_path, participant="P017", privacy="features_only"):
        ros.activate("recorder_node")
        assert start(ros).success
        assert listeners() == [0, 0]
        assert stop(ros).success
        full = start(ros, privacy="full")
        wait_until(lambda: listeners() == [1, 1], 10)
        see_and_hear(ros, time.time_ns(), 2.0)
        assert stop(ros).success
        wait_until(lambda: listeners() == [0, 0], 10)
    with AnyReader([SessionFolder(tmp_path / full.folder).bag]) as reader:
        assert reader.topics["/mmal/image/compressed"].msgcount > 10
        assert reader.topics["/mmal/sound"].msgcount > 10


def test_a_session_that_cannot_begin_is_refused_with_the_reason(ros, tmp_path):
    reports = ros.listen(DIAGNOSTICS)
    with node_process("recorder_node", sessions=tmp_path) as process:
        ros.activate("recorder_node")
        assert "is no code of a participant" in start(ros).message
        assert "is no code of a participant" in start(ros, participant="Anna Berg").message
        assert "it has no digit, and may be a name" in start(ros, participant="Anna").message
        assert (
            "privacy is 'some'; possible: features_only, clips, full"
            in start(ros, participant="P1", privacy="some").message
        )
        assert start(ros, participant="P1").success
        assert "_P1_01 is being recorded; stop it first" in start(ros, participant="P2").message
        wait_until(lambda: message_of(reports, "session") == "recording", 10)
        process.terminate()
        log = process.communicate(timeout=20)[1]
    assert "_…_01 is being recorded" in log  # and nothing of whom
    assert "'…' is no code of a participant" in log
    assert not re.search("Anna|_P1_", log + str(reports))
    assert len(list(sessions_in(tmp_path))) == 1


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"participant": ""}, "'' is no code of a participant"),
        ({"participant": "Anna"}, "'Anna' is no code of a participant .* may be a name; expected for example P017"),
        ({"devices": ["", "camera"]}, "parameter 'devices' has 'camera'; expected sensor=SPEC"),
        ({"model": "nobodys"}, "nobodys"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_reason(settings, reason):
    with pytest.raises((SessionError, ParameterError, ModelError), match=reason):
        session_card(RecorderParameters(**{"participant": "P017", **settings}), "", "", 0, "system")


@pytest.mark.parametrize("wrong", ["parameter 'sessions'", "MMAL_HOME"])
def test_sessions_in_the_home_of_nobody_are_refused(ros, monkeypatch, wrong):
    if wrong == "MMAL_HOME":
        monkeypatch.setenv("MMAL_HOME", "~nobody0815/sessions")
    told = {} if wrong == "MMAL_HOME" else {"sessions": "~nobody0815/sessions"}
    with node_process("recorder_node", participant="P017", **told) as process:
        assert not ros.change_state("recorder_node", Transition.TRANSITION_CONFIGURE)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert f"{wrong} is '~nobody0815/sessions': nobody here has such a home; write the path in full" in log
    assert "Traceback" not in log


def test_the_card_of_a_session_names_devices_and_model():
    settings = RecorderParameters(
        participant="P017", devices=["camera=device:0", "wristband=server:a:1/b=c"], model="demo"
    )
    card = session_card(settings, "", "", 10**18, "sim")
    assert card.devices == {"camera": "device:0", "wristband": "server:a:1/b=c"}
    assert card.model.startswith("demo/")
    assert (Path(card.model_folder) / "model.json").is_file()
    assert len(card.model_sha256) == 64


def test_the_card_of_a_session_keeps_no_password():
    settings = RecorderParameters(participant="P017", devices=["camera=rtsp://nurse:secret@10.0.0.7/1"])
    assert session_card(settings, "", "", 10**18, "system").devices == {"camera": "rtsp://10.0.0.7/1"}


def test_a_node_that_could_not_begin_is_not_configured(ros, tmp_path):
    with node_process("recorder_node", sessions=tmp_path, auto_start=True) as process:
        assert not ros.change_state("recorder_node", Transition.TRANSITION_CONFIGURE)
        process.terminate()
        assert "'' is no code of a participant" in process.communicate(timeout=20)[1]


def test_ctrl_c_ends_a_session_in_order(ros, tmp_path):
    reports = ros.listen(DIAGNOSTICS)
    with node_process("recorder_node", sessions=tmp_path, participant="P017", auto_start=True) as process:
        ros.activate("recorder_node")
        publish_faces(ros.publisher(FACE), 20)
        wait_until(lambda: message_of(reports, "session") == "recording", 10)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        (folder,) = sessions_in(tmp_path)
        assert is_complete(folder.bag)
        assert folder.card().end is not None


def test_deactivation_ends_a_session_and_activation_begins_another(ros, tmp_path):
    with node_process("recorder_node", sessions=tmp_path, participant="P017", auto_start=True):
        ros.activate("recorder_node")
        assert ros.change_state("recorder_node", Transition.TRANSITION_DEACTIVATE)
        assert [is_complete(folder.bag) for folder in sessions_in(tmp_path)] == [True]
        assert ros.change_state("recorder_node", Transition.TRANSITION_CLEANUP)
        ros.activate("recorder_node")
        assert [is_complete(folder.bag) for folder in sessions_in(tmp_path)] == [True, False]


class Picture(bytes):
    """Of a child; unlike bytes it can be found wherever it is kept."""


def pictures_in_memory() -> int:
    return sum(type(thing) is Picture for thing in gc.get_objects())


def test_sessions_that_ended_leave_no_picture_of_a_child_in_memory(ros, tmp_path):
    """In this process, whose memory can be searched; the node goes on with one session after the other."""
    settings = {"sessions": str(tmp_path), "participant": "P017"}
    node = RecorderNode(parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()])
    node.trigger_configure()
    node.trigger_activate()
    ended = []
    for _ in range(3):
        start_ns = node.start().card.start_ns
        for number in range(50):
            node.recorder.picture(start_ns + number * 100_000_000, Picture(b"\xff"))
        assert pictures_in_memory() >= 50
        ended.append(weakref.ref(node.stop()))
        wait_until(lambda: pictures_in_memory() == 0, 20)
    node.start()
    wait_until(lambda: not any(was.is_writing for was in node._ended), 20)
    node.stop()
    gc.collect()
    assert [was() for was in ended] == [None] * 3
    shut_down(node)


@pytest.mark.slow
def test_a_recorder_that_was_started_again_leaves_old_flags_where_they_are(ros, tmp_path):
    """The selector's flags are kept for latecomers; those of the session that was cut off are not of the new one."""
    recorded, queries = ros.listen(RECORDED), ros.node.create_publisher(QUERY.type, QUERY.name, QUERY.qos)
    settings = {"sessions": tmp_path, "participant": "P017", "auto_start": True, "privacy": "features_only"}
    for session in range(2):
        wait_until(lambda: ros.node.count_publishers(SESSION_STATUS.name) == 0, 20)  # else it is the killed one we ask
        with node_process("recorder_node", **settings) as process:
            ros.activate("recorder_node")
            queries.publish(query(session, time.time_ns()))
            wait_until(lambda session=session: len(recorded) > session, 20)
            process.kill()
            process.communicate(timeout=20)
    assert [message.window_id for message in recorded] == [0, 1]
    flags = []
    for folder in sessions_in(tmp_path):
        with SessionStore(folder.labels) as store:
            flags.append([flag.window_id for flag in store.flags()])
    assert flags == [[0], [1]]
