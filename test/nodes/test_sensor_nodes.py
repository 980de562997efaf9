"""camera_node, microphone_node and e4_node in processes of their own: real pictures, real sound, real recordings."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from subprocess import Popen

import numpy as np
import psutil
import pytest
from lifecycle_msgs.msg import State, Transition
from sensor_msgs.msg import Image

from mmal_msgs.msg import SessionStatus
from mmal_ros.datatypes import Modality
from mmal_ros.features.names import SIZES
from mmal_ros.nodes.conversions import to_ns, to_time
from mmal_ros.nodes.topics import DIAGNOSTICS, ENGAGEMENT, FEATURES, IMAGE, SESSION_STATUS, SIGNALS, camera_topic
from rigs.ros import message_of, node_process, participant, values_of, wait_until

ROBOT_CAMERA = "/camera/front/image_raw"
TRUSTED = 0.6
"""Confidence of a face whose neutral one is known; else it is 0.5 at most."""


@pytest.fixture
def ros():
    with participant() as someone:
        yield someone


def vision_of(node: Popen[str]) -> psutil.Process | None:
    """The process in which a camera_node sees; None: there is none at the moment."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(node.pid).children(recursive=True)
        return next((child for child in children if "spawn_main" in str(child.cmdline())), None)
    return None


def test_a_video_becomes_face_and_body_features(ros, shared_data):
    """A talking head, 25 pictures a second: FACE for every picture, BODY for every second one, in the file's time."""
    faces, bodies = ros.listen(FEATURES[Modality.FACE]), ros.listen(FEATURES[Modality.BODY])
    with node_process("camera_node", source=f"file:{shared_data / 'grid-av-clips/bbaf2n.mpg'}"):
        ros.activate("camera_node")
        wait_until(lambda: len(faces) > 15 and len(bodies) > 5, 60)

    assert {len(face.values) for face in faces} == {SIZES[Modality.FACE]}
    assert {len(body.values) for body in bodies} == {SIZES[Modality.BODY]}
    assert np.mean([face.valid for face in faces]) > 0.8
    assert {face.feature_set for face in faces} == {"mediapipe-face"}
    intervals = np.diff([to_ns(face.header.stamp) for face in faces]) / 1e6
    assert set(np.round(intervals % 40, 3)) == {0.0}, "stamps are not those of the video"


def test_pictures_leave_the_node_only_when_privacy_allows(ros, shared_data):
    """With `clips` JPEGs are published; by default (the test above has none) nothing but features leaves."""
    source = f"file:{shared_data / 'grid-av-clips/bbaf2n.mpg'}"
    images, faces = ros.listen(IMAGE), ros.listen(FEATURES[Modality.FACE])
    with node_process("camera_node", source=source, privacy="clips"):
        ros.activate("camera_node")
        wait_until(lambda: len(images) > 5, 60)
    assert bytes(images[0].data[:2]) == b"\xff\xd8"
    images.clear()
    faces.clear()
    with node_process("camera_node", source=source):
        ros.activate("camera_node")
        wait_until(lambda: len(faces) > 15, 60)
    assert images == []


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_a_robots_pictures_become_features(ros, encoding):
    """NAO publishes 320 x 240 at 10 Hz; its stamps are kept."""
    data = pytest.importorskip("skimage.data")
    picture = np.ascontiguousarray(data.astronaut()[:240, 80:400])
    if encoding == "bgr8":
        picture = np.ascontiguousarray(picture[..., ::-1])
    faces = ros.listen(FEATURES[Modality.FACE])
    with node_process("camera_node", source=f"topic:{ROBOT_CAMERA}"):
        ros.activate("camera_node")
        publisher = ros.publisher(camera_topic(ROBOT_CAMERA))
        stamps = []
        while len(faces) < 10:
            message = Image(height=240, width=320, encoding=encoding, step=960, data=picture.tobytes())
            stamps.append(time.time_ns())
            message.header.stamp = to_time(stamps[-1])
            publisher.publish(message)
            time.sleep(0.1)
            assert len(stamps) < 300
    assert any(face.valid for face in faces)
    assert {to_ns(face.header.stamp) for face in faces} <= set(stamps)


@pytest.mark.parametrize(("node", "modality"), [("camera_node", Modality.FACE), ("microphone_node", Modality.AUDIO)])
def test_a_sensor_that_rested_measures_again(ros, node, modality):
    frames = ros.listen(FEATURES[modality])
    with node_process(node, source="synthetic"):
        ros.activate(node)
        wait_until(lambda: len(frames) > 3, 60)
        assert ros.change_state(node, Transition.TRANSITION_DEACTIVATE)
        time.sleep(0.3)
        count = len(frames)
        assert ros.change_state(node, Transition.TRANSITION_ACTIVATE)
        wait_until(lambda: len(frames) > count + 3, 60)


def test_a_library_that_cannot_be_loaded_is_named_with_the_remedy(ros, monkeypatch, tmp_path):
    """Its stand-in: an openSMILE that does not fit the machine is not to be had here."""
    (tmp_path / "opensmile.py").write_text("raise ImportError('libSMILEapi.so does not fit this machine')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with node_process("microphone_node", source="synthetic") as process:
        assert not ros.change_state("microphone_node", Transition.TRANSITION_CONFIGURE)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert "libSMILEapi.so does not fit this machine): pip install" in log
    assert "Traceback" not in log


def test_a_library_of_the_vision_process_that_cannot_be_loaded_is_named(ros, monkeypatch, tmp_path):
    """It is no process that died: another one would not do better. Its stand-in is a MediaPipe."""
    (tmp_path / "mediapipe.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with node_process("camera_node", source="synthetic") as process:
        assert not ros.change_state("camera_node", Transition.TRANSITION_CONFIGURE)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert "what a camera needs cannot be loaded: libGL.so.1: cannot open shared object file; try: mmal doctor" in log


def test_a_camera_does_not_pretend_to_know_simulated_time(ros):
    with node_process("camera_node", source="synthetic", use_sim_time=True) as process:
        assert not ros.change_state("camera_node", Transition.TRANSITION_CONFIGURE)
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert "set use_sim_time to false" in log


def test_a_killed_vision_process_is_started_again(ros):
    """The vision process dies in the middle of a session: said within two seconds, and the face comes back."""
    faces, diagnostics = ros.listen(FEATURES[Modality.FACE]), ros.listen(DIAGNOSTICS)
    with node_process("camera_node", source="synthetic") as node:
        ros.activate("camera_node")
        wait_until(lambda: len(faces) > 5, 60)
        vision_of(node).kill()
        wait_until(lambda: "starting it again" in message_of(diagnostics, "camera"), 10)
        count = len(faces)
        wait_until(lambda: len(faces) > count + 20, 60)
        wait_until(lambda: message_of(diagnostics, "camera") == "streaming", 10)


@pytest.mark.parametrize("when", ["as it loads", "as it waits"])
def test_a_vision_process_that_is_killed_before_anybody_estimates_is_started_again(ros, when):
    """As under a launch: the node activates itself when somebody estimates, and nobody would do that again."""
    faces = ros.listen(FEATURES[Modality.FACE])
    with node_process("camera_node", source="synthetic", activates_itself=True) as node:
        wait_until(lambda: vision_of(node), 60)
        if when == "as it waits":
            wait_until(lambda: ros.state("camera_node") == State.PRIMARY_STATE_INACTIVE, 60)
        vision_of(node).kill()
        ros.node.create_publisher(ENGAGEMENT.type, ENGAGEMENT.name, ENGAGEMENT.qos)
        wait_until(lambda: len(faces) > 5, 60)


def test_another_childs_session_has_another_neutral_face(ros):
    """Known again is it after three seconds, and the next session of the same child leaves it as it is."""
    faces = ros.listen(FEATURES[Modality.FACE])

    def is_known() -> bool:
        return bool(faces) and faces[-1].confidence > TRUSTED

    with node_process("camera_node", source="synthetic:3"):
        ros.activate("camera_node")
        wait_until(is_known, 30)
        status = ros.publisher(SESSION_STATUS)
        status.publish(SessionStatus(recording=True, session="one", participant="P017"))
        wait_until(lambda: not is_known(), 10)
        wait_until(is_known, 30)
        before = len(faces)
        status.publish(SessionStatus(recording=False))
        status.publish(SessionStatus(recording=True, session="two", participant="P017"))
        wait_until(lambda: len(faces) > before + 30, 30)
        assert all(face.confidence > TRUSTED for face in faces[before:])


def test_a_camera_that_is_not_there_is_reported_and_looked_for(ros):
    """The node comes up all the same and says what it looks for."""
    diagnostics = ros.listen(DIAGNOSTICS)
    with node_process("camera_node", source="http://127.0.0.1:9/none"):
        ros.activate("camera_node")
        wait_until(lambda: "127.0.0.1" in message_of(diagnostics, "camera"), 30)


def test_the_sound_of_a_video_becomes_audio_features(ros, shared_data):
    """Ten frames a second, each stamped on the grid of steps."""
    frames = ros.listen(FEATURES[Modality.AUDIO])
    source = f"file:{shared_data / 'grid-av-clips/bbaf2n.mpg'}"
    with node_process("microphone_node", source=source, feature_set="spectral"):
        ros.activate("microphone_node")
        wait_until(lambda: len(frames) > 10, 60)
    stamps = [to_ns(frame.header.stamp) for frame in frames]
    assert all(stamp % 100_000_000 == 0 for stamp in stamps)
    assert set(np.diff(stamps)) == {100_000_000}
    assert {len(frame.values) for frame in frames} == {SIZES[Modality.AUDIO]}


def test_a_robots_microphones_need_its_messages(ros):
    """naoqi_bridge_msgs is not among the wheels: configuring fails with a sentence that says where it comes from."""
    try:
        import naoqi_bridge_msgs  # noqa: F401
    except ModuleNotFoundError:
        pass
    else:
        pytest.skip("naoqi_bridge_msgs is installed here")
    with node_process("microphone_node", source="topic:/audio") as node:
        assert not ros.change_state("microphone_node", Transition.TRANSITION_CONFIGURE)
        node.terminate()
        _, log = node.communicate(timeout=20)
    assert "naoqi_bridge_msgs" in log


def test_a_wristbands_export_becomes_features_and_raw_signals(ros, shared_data):
    """A real E4 export: A-PHYS ten times a second, and acc, bvp, eda and temperature in SI units beside it."""
    frames = ros.listen(FEATURES[Modality.PHYSIOLOGY])
    signals = {name: ros.listen(SIGNALS[name]) for name in ("acc", "bvp", "eda", "temperature")}
    diagnostics = ros.listen(DIAGNOSTICS)
    with node_process("e4_node", source=f"folder:{shared_data / 'stress-predict/S05.tar.gz'}"):
        ros.activate("e4_node")
        wait_until(lambda: len(frames) > 20 and all(signals.values()), 60)
        wait_until(lambda: message_of(diagnostics, "wristband") == "streaming", 10)

    assert all(len(frame.values) == SIZES[Modality.PHYSIOLOGY] and frame.valid for frame in frames[5:])
    acc = signals["acc"][0]
    assert (acc.unit, acc.rate_hz, acc.channels) == ("g", 32.0, 3)
    gravity = np.linalg.norm(np.reshape(acc.values, (-1, 3)), axis=1)
    assert 0.5 < gravity.mean() < 1.5
    assert 20 < signals["temperature"][0].values[0] < 45
    assert float(values_of(diagnostics, "wristband")["physiology rate (Hz)"]) > 0


def test_a_wrong_spec_is_refused_with_what_would_be_right(ros):
    """Configuring fails; the node stays."""
    with node_process("e4_node", source="blue:E4") as node:
        assert not ros.change_state("e4_node", Transition.TRANSITION_CONFIGURE)
        node.terminate()
        _, log = node.communicate(timeout=20)
    assert "did you mean ble:NAME-or-ADDRESS" in log
