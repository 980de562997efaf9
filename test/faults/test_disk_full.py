"""The disk fills up, really: what is given up first, what is kept to the end, what somebody is told, how it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from mmal_msgs.msg import Query
from mmal_ros.datatypes import FeatureFrame, Modality, Sample
from mmal_ros.nodes.conversions import frame_to_message, sample_to_message, to_time
from mmal_ros.nodes.session_feed import stamp_of
from mmal_ros.nodes.topics import (
    DIAGNOSTICS,
    FEATURES,
    IMAGE,
    QUERY,
    RECORDED,
    SESSION_STATUS,
    SOUND,
    STOP_SESSION,
)
from mmal_ros.session.bag_metadata import is_complete
from mmal_ros.session.folder import sessions_in
from mmal_ros.session.records import CLIP_LOST, Flag
from mmal_ros.session.space import FREE_FOR, RESERVE_NAME, Room
from mmal_ros.session.store import SessionStore
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.ros import message_of, node_process, participant, values_of, wait_until
from rigs.small_disk import SmallDisk, small_disk

JPEG = cv2.imencode(".jpg", np.full((120, 160, 3), 99, np.uint8))[1].tobytes()
WAIT_S = 30.0
FAULT = "disk full while recording"


@pytest.fixture
def disk(tmp_path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


class Child:
    """Somebody in front of camera, microphone and selector: everything that a recorder hears, ten times a second."""

    def __init__(self, ros) -> None:
        topics = {"face": FEATURES[Modality.FACE], "image": IMAGE, "sound": SOUND, "query": QUERY}
        self._to = {name: ros.publisher(topic) for name, topic in topics.items()}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._be, daemon=True)
        self.faces: list[int] = []
        """Stamps of what was published."""

    def flagged(self, window_id: int) -> None:
        """A window of now is worth a label."""
        self._to["query"].publish(Query(header=Header(stamp=to_time(time.time_ns())), window_id=window_id))

    @contextmanager
    def there(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ending.set()
            self._thread.join()

    def _be(self) -> None:
        while not self._ending.wait(0.1):
            now_ns = time.time_ns()
            frame = FeatureFrame(Modality.FACE, now_ns, np.ones(257, np.float32), True, 1.0, "a-set")
            self._to["face"].publish(frame_to_message(frame, "camera"))
            self.faces.append(now_ns)
            image = CompressedImage(header=Header(stamp=to_time(now_ns)), format="jpeg", data=JPEG)
            self._to["image"].publish(image)
            silence = Sample("microphone", now_ns, np.zeros(1600, np.float32), 16_000.0)
            self._to["sound"].publish(sample_to_message(silence, "microphone"))


class Recording:
    """A recorder_node in a process of its own, which records a child onto a small disk; what it says of it."""

    def __init__(self, ros, disk: SmallDisk) -> None:
        self.disk = disk
        self.recorded, self._status, self._reports = map(ros.listen, (RECORDED, SESSION_STATUS, DIAGNOSTICS))
        ros.activate("recorder_node")
        self.child = Child(ros)
        (self.folder,) = sessions_in(disk.path)

    def says(self, words: str) -> bool:
        """Whether both, /diagnostics and session/status, say this."""
        status = self._status[-1].problem if self._status else ""
        return words in message_of(self._reports, "session") and words in status

    def is_well(self) -> bool:
        return message_of(self._reports, "session") == "recording" and self._status[-1].problem == ""

    def value(self, name: str) -> int:
        """On /diagnostics."""
        return int(values_of(self._reports, "session")[name])

    def bytes(self) -> int:
        return int(self._status[-1].bytes_written)

    def flag(self, window_id: int) -> None:
        """A flag, until it is acknowledged."""
        self.child.flagged(window_id)
        wait_until(lambda: window_id in self.acknowledged(), WAIT_S)

    def acknowledged(self) -> set[int]:
        return {said.window_id for said in self.recorded}

    def flags_on_disk(self) -> list[Flag]:
        with SessionStore(self.folder.labels) as store:
            return store.flags()

    def clip(self, window_id: int) -> str | None:
        """What is on disk about the clip of a window."""
        return {flag.window_id: flag.clip for flag in self.flags_on_disk()}[window_id]

    def clip_came(self, window_id: int) -> bool:
        return any(said.window_id == window_id and said.clip for said in self.recorded)

    def faces_on_disk(self) -> list[int]:
        """Stamps of the feature frames that somebody with the rosbags library finds."""
        with AnyReader([self.folder.bag]) as reader:
            at = [connection for connection in reader.connections if connection.topic == "/mmal/features/face"]
            return [stamp_of(bytes(raw)) for _, _, raw in reader.messages(connections=at)]


@contextmanager
def recording(disk: SmallDisk) -> Iterator[Recording]:
    with participant() as ros, node_process("recorder_node", sessions=disk.path, participant="P017", auto_start=True):
        recording = Recording(ros, disk)
        with recording.child.there():
            wait_until(recording.is_well, WAIT_S)
            yield recording
        assert ros.call(*STOP_SESSION, Trigger.Request()).success


def test_clips_go_first_then_features_and_flags_never_and_all_come_back(disk):
    with recording(disk) as session:
        session.flag(1)
        disk.leave(FREE_FOR[Room.CLIPS] - 1_000_000)
        clips_s = seconds_until(lambda: session.says("no clips are made; features, flags and labels are recorded"))
        session.flag(2)
        before = session.bytes()
        wait_until(lambda: session.clip(2) == CLIP_LOST, WAIT_S)
        wait_until(lambda: session.bytes() > before, WAIT_S)

        disk.leave(FREE_FOR[Room.FEATURES] - 1_000_000)
        features_s = seconds_until(lambda: session.says("flags and labels are still recorded, clips and features are"))
        gap_ns = time.time_ns()
        session.flag(3)
        dropped = session.value("messages dropped")
        wait_until(lambda: session.value("messages dropped") > dropped, WAIT_S)

        gone_ns = time.time_ns()
        disk.empty()
        well_s = seconds_until(session.is_well)
        session.flag(4)
        wait_until(lambda: session.clip_came(4), WAIT_S)
        lost = session.value("messages dropped")
    faces, published = session.faces_on_disk(), session.child.faces
    assert set(faces) <= set(published)
    assert [stamp for stamp in faces if gap_ns < stamp < gone_ns] == []
    assert min(faces) < gap_ns < gone_ns < max(faces)
    assert is_complete(session.folder.bag)
    assert session.folder.card().end is not None
    assert [session.clip(window) for window in (2, 4)] == [CLIP_LOST, "clips/4.mp4"]
    keep(Outcome(FAULT, "less than 400 MB free", clips_s, None, "clips of the flags of this time, marked as lost"))
    words = f"{lost} messages of a gap that was made {(gone_ns - gap_ns) / 1e9:.0f} s long; no flag"
    keep(Outcome(FAULT, "less than 200 MB free", features_s, well_s, words))


def test_somebody_else_fills_the_disk_to_the_last_byte_and_flags_still_fit_and_then_wait(disk):
    """First there is the reserve for them; when that is used up, too, they wait and are not acknowledged."""
    with recording(disk) as session:
        reserve = session.folder.path / RESERVE_NAME
        session.flag(1)
        assert reserve.exists()
        disk.fill()
        full_s = seconds_until(lambda: session.says("flags and labels are still recorded"))
        for window in range(2, 42):
            session.flag(window)
        assert not reserve.exists()

        disk.fill()
        for window in range(42, 242):
            session.child.flagged(window)
            time.sleep(0.005)
        seconds_until(lambda: session.says("flags wait to be written") and session.says("disk is full"))
        assert len(session.acknowledged()) < 241
        disk.empty()
        well_s = seconds_until(session.is_well)
        wait_until(lambda: session.acknowledged() == set(range(1, 242)), WAIT_S)
        wait_until(reserve.exists, WAIT_S)
        gone_ns = time.time_ns()
        wait_until(lambda: session.child.faces[-1] > gone_ns + 10**9, WAIT_S)
        disk.fill()  # and so it is stopped
    assert is_complete(session.folder.bag)
    assert session.folder.card().end is not None
    assert [path for path in session.folder.path.rglob(".*") if path.is_file()] == []
    assert [flag.window_id for flag in session.flags_on_disk()] == list(range(1, 242))
    assert max(session.faces_on_disk()) > gone_ns
    keep(Outcome(FAULT, "not a byte free", full_s, well_s, "clips and features of this time; no flag"))
    keep(Outcome(FAULT, "not a byte free, and the reserve used up", None, well_s, "no flag: they waited"))
