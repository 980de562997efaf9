"""Messages of other nodes, also of other people's: used, or refused and counted; no callback may end its node."""

from __future__ import annotations

import array
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import example
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mmal_msgs.msg import Engagement, ModalityEstimate, ModelInfo, Query, SignalChunk
from mmal_msgs.msg import FeatureFrame as FeatureFrameMessage
from mmal_ros.datatypes import Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.nodes.conversions import MessageError, estimate_from_message, frame_from_message
from mmal_ros.nodes.images import CHANNELS, ImageError, image_to_sample
from mmal_ros.nodes.nao_audio import NaoAudio
from mmal_ros.nodes.recorded_topics import bag_topic
from mmal_ros.nodes.session_feed import feed
from mmal_ros.nodes.topics import IMAGE, MODEL_INFO, QUERY, SOUND, Topic
from mmal_ros.session.card import SessionCard
from mmal_ros.session.recorder import OnDisk, SessionRecorder
from mmal_ros.session.records import Flag, Privacy
from mmal_ros.window_stream import WindowStream
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_bytes
from rigs.ros import wait_until

NOW_S = 1_800_000_000
NOW_NS = NOW_S * 10**9
SETS = {Modality.FACE: "mediapipe-face", Modality.PHYSIOLOGY: "e4"}
FLOATS = st.floats(width=32)
STAMPS = st.one_of(
    st.builds(Time, sec=st.integers(NOW_S - 3, NOW_S + 3), nanosec=st.sampled_from([0, 1, 10**8, 999_999_999])),
    st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1)),
)
HEADERS = st.builds(Header, stamp=STAMPS)
SOON = Time(sec=int(time.time()) + 30)
"""Within a session that begins when this is read."""
OF_NOW = st.builds(lambda after_s: Header(stamp=Time(sec=int(time.time()) + after_s)), st.integers(1, 30))
SIZES = st.sampled_from([0, 1, 27, 257, 256])
VALUES = SIZES.flatmap(
    lambda size: st.tuples(FLOATS, FLOATS).map(
        lambda two: array.array("f", [two[0]] * (size - 1) + [two[1]] * (size > 0))
    )
)
NAMES = st.sampled_from([*FEATURE_SETS, "", "no such", "é" * 300])


@fuzz(
    st.lists(
        st.tuples(
            st.sampled_from(Modality),
            st.builds(
                FeatureFrameMessage, header=HEADERS, modality=st.integers(0, 255), feature_set=NAMES,
                valid=st.booleans(), confidence=FLOATS, values=VALUES,
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_feature_messages_of_anybody_leave_windows_finite(messages):
    stream = WindowStream(SETS)
    for number, (modality, message) in enumerate(messages):
        now_ns = NOW_NS + number * 10**8
        serialize_message(message)
        stream.accept(frame_from_message(message, modality), now_ns)
        for window in stream.due(now_ns):
            assert all(np.isfinite(values).all() for values in window.features.values())
            assert all(np.isin(mask, (0, 1)).all() for mask in window.mask.values())


SMALL = st.integers(0, 9)
BYTES = st.one_of(SMALL, st.sampled_from([12, 24, 36, 1 << 16]))
PICTURES = st.builds(
    Image, header=HEADERS, height=SMALL | st.just(2**32 - 1), width=SMALL | st.just(2**32 - 1),
    encoding=st.sampled_from([*CHANNELS, "", "16UC1"]), step=BYTES, data=BYTES.map(bytes).map(lambda b: array.array("B", b)),  # noqa: E501
)  # fmt: skip


def _fitting(message: Image) -> Image:
    """Height and step fit the bytes: what is wrong is not the first thing that is looked at."""
    message.height %= 10
    message.width %= 10
    message.step = min(message.step, 64)
    message.data = array.array("B", bytes(message.height * message.step))
    return message


@fuzz(PICTURES | PICTURES.map(_fitting), few=300)
@example(Image(encoding="rgb8", height=1, width=0, step=4, data=array.array("B", bytes(4))))  # rows of padding alone
@example(Image(encoding="yuv422", height=1, width=3, step=6, data=array.array("B", bytes(6))))  # half a pair of pixels
def test_pictures_of_anybody(message):
    try:
        sample = image_to_sample(message)
    except ImageError as error:
        assert str(error)
    else:
        assert sample.values.shape == (message.height, message.width, 3)


@dataclass
class Buffer:
    """As naoqi_bridge_msgs/AudioBuffer, which comes with NAO's driver and not from the package index."""

    frequency: int
    channelMap: list[int]  # noqa: N815
    data: list[int]
    header: Header = field(default_factory=Header)


BUFFERS = st.builds(
    Buffer, frequency=st.sampled_from([48_000, 16_000, 0, 1, 7, 2**16 - 1]), channelMap=st.lists(st.just(1), max_size=5),  # noqa: E501
    data=st.integers(0, 4000).map(lambda size: [-32768, 32767, 0, 1] * size), header=HEADERS,
)  # fmt: skip


@fuzz(st.lists(BUFFERS, min_size=1, max_size=5))
@example([Buffer(0, [1, 1, 1, 1], [0] * 4000)])  # no rate at all
@example([Buffer(1, [1], [0] * 4000)])  # one value becomes 16,000
def test_sound_of_anybody(buffers):
    nao = NaoAudio()
    for buffer in buffers:
        try:
            sample = nao.convert(buffer)
        except ValueError as error:
            assert str(error)
            continue
        assert sample is None or (np.isfinite(sample.values).all() and len(sample.values) < 1_000_000)


PROBABILITIES = st.lists(FLOATS, min_size=3, max_size=3)
PARTS = st.builds(
    ModalityEstimate, modality=st.integers(0, 5) | st.just(255), status=st.integers(0, 4) | st.just(255),
    probabilities=PROBABILITIES, confidence=FLOATS, age=FLOATS, frames_seen=st.integers(0, 2**64 - 1),
)  # fmt: skip


@fuzz(
    st.builds(
        Engagement, header=HEADERS, window_id=st.integers(0, 2**64 - 1), level=st.integers(0, 5) | st.just(255),
        probabilities=PROBABILITIES, modalities=st.lists(PARTS, min_size=4, max_size=4), model_version=NAMES,
    )
)  # fmt: skip
def test_estimates_of_anybody(message: Any) -> None:
    serialize_message(message)
    try:
        estimate = estimate_from_message(message)
    except MessageError as error:
        assert str(error)
        return
    assert set(estimate.status) == set(Modality)
    assert all(math.isfinite(value) for value in estimate.probabilities)


@fuzz(
    st.builds(
        Query, header=HEADERS | OF_NOW, window_id=st.integers(0, 2**64 - 1), action=st.integers(0, 255), utility=FLOATS,
        policy=NAMES, reason=NAMES, budget=st.integers(0, 2**31 - 1), budget_left=st.integers(0, 2**31 - 1),
    )
)  # fmt: skip
@example(Query(header=Header(stamp=SOON), window_id=2**64 - 1))  # more than a database can keep
@example(Query(header=Header(stamp=SOON), window_id=2**64 - 1, action=Query.WITHDRAWN))
@example(Query(header=Header(stamp=SOON), utility=math.nan))  # which it keeps as nothing
@example(Query(header=Header(stamp=Time(sec=-1))))  # of 1969, which a bag cannot say
def test_queries_of_anybody_do_not_keep_others_from_the_disk(recorder: Recording, message: Any) -> None:
    recorder.take(QUERY, serialize_message(message))
    recorder.is_well()


HEARD = [
    (topic, serialize_message(message))
    for topic, message in (
        (QUERY, Query(header=Header(stamp=SOON), window_id=17, policy="random", reason="why")),
        (MODEL_INFO, ModelInfo(name="demo", version="2", feature_sets=["face=mediapipe-face"])),
        (IMAGE, CompressedImage(header=Header(stamp=Time(sec=NOW_S)), format="jpeg", data=array.array("B", bytes(64)))),
        (SOUND, SignalChunk(header=Header(stamp=Time(sec=NOW_S)), rate_hz=16e3, values=array.array("f", [0.5] * 64))),
    )
]


@fuzz(st.sampled_from(HEARD).flatmap(lambda one: st.tuples(st.just(one[0]), damaged_bytes(one[1]))), few=100)
def test_what_a_recorder_hears_damaged(recorder: Recording, heard: tuple[Topic, bytes]) -> None:
    recorder.take(*heard)
    recorder.is_well()


@dataclass
class Recording:
    """A session that is being recorded."""

    recorder: SessionRecorder
    said: list[OnDisk]
    flagged: int = 1_000

    def take(self, topic: Topic, data: bytes) -> None:
        """As the node does: what cannot be is refused in a sentence."""
        try:
            feed(self.recorder, topic, f"/mmal/{topic.name}", data, time.time_ns())
        except MessageError as error:
            assert str(error)

    def is_well(self) -> None:
        """A flag that comes now is on disk soon."""
        self.flagged += 1
        self.recorder.flag(Flag(self.flagged, time.time_ns(), "random", "why", 0.5))
        wait_until(lambda: any(what.window_id == self.flagged for what in self.said), 10)
        self.said.clear()
        assert self.recorder.problem == ""


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    start_ns, said = time.time_ns(), []
    card = SessionCard(
        name="", participant="P017", start=datetime.fromtimestamp(start_ns / 1e9, UTC), start_ns=start_ns,
        privacy=Privacy.CLIPS, software="1", devices={},
    )  # fmt: skip
    topics = [bag_topic(topic, f"/mmal/{topic.name}") for topic, _ in HEARD]
    recorder = SessionRecorder(tmp_path_factory.mktemp("sessions"), card, topics, time.time_ns, said.append)
    yield Recording(recorder, said)
    recorder.stop()
    recorder.join()
