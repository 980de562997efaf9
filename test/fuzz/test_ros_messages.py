"""Messages of other nodes, also of other people's: used, or refused and counted; no callback may end its node."""

from __future__ import annotations

import array
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from hypothesis import example
from hypothesis import strategies as st
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mmal_msgs.msg import Engagement, ModalityEstimate, ModelInfo, Query, Recorded, SessionStatus, SignalChunk
from mmal_msgs.msg import FeatureFrame as FeatureFrameMessage
from mmal_msgs.srv import FlagNow, GetBudget, Unflag
from mmal_ros.datatypes import Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.nodes.conversions import MessageError, estimate_from_message, frame_from_message
from mmal_ros.nodes.images import CHANNELS, ImageError, image_to_sample
from mmal_ros.nodes.live_feed import GraphFeed
from mmal_ros.nodes.nao_audio import NaoAudio
from mmal_ros.nodes.recorded_topics import bag_topic
from mmal_ros.nodes.selector_node import SelectorNode
from mmal_ros.nodes.session_feed import feed
from mmal_ros.nodes.topics import IMAGE, MODEL_INFO, QUERY, SOUND, Topic
from mmal_ros.session.card import SessionCard
from mmal_ros.session.clip_content import ClipContent
from mmal_ros.session.clip_encoder import encode_clip
from mmal_ros.session.recorder import OnDisk, SessionRecorder
from mmal_ros.session.records import Flag, Privacy
from mmal_ros.window_stream import WindowStream
from rigs.fuzzing import fuzz
from rigs.model_sets import write_model_set
from rigs.mutation import damaged_bytes, odd_words
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
ESTIMATES = st.builds(
    Engagement, header=HEADERS, window_id=st.integers(0, 2**64 - 1), level=st.integers(0, 5) | st.just(255),
    probabilities=PROBABILITIES, modalities=st.lists(PARTS, min_size=4, max_size=4), model_version=NAMES,
)  # fmt: skip


@fuzz(ESTIMATES)
def test_estimates_of_anybody(message: Any) -> None:
    serialize_message(message)
    try:
        estimate = estimate_from_message(message)
    except MessageError as error:
        assert str(error)
        return
    assert set(estimate.status) == set(Modality)
    assert all(math.isfinite(value) for value in estimate.probabilities)


def _good_estimate(second: int, window_id: int) -> Engagement:
    parts = [
        ModalityEstimate(modality=m, status=ModalityEstimate.VALID, probabilities=[0.1, 0.1, 0.8]) for m in range(4)
    ]
    return Engagement(
        header=Header(stamp=Time(sec=NOW_S + second)), window_id=window_id, level=Engagement.HIGH,
        probabilities=[0.1, 0.1, 0.8], modalities=parts,
    )  # fmt: skip


def _recording(session: str, **said: Any) -> SessionStatus:
    return SessionStatus(recording=True, session=session, **said)


QUERIES = st.builds(
    Query, header=HEADERS | OF_NOW, window_id=st.integers(0, 2**64 - 1), action=st.integers(0, 255), utility=FLOATS,
    policy=NAMES, reason=NAMES, budget=st.integers(0, 2**31 - 1), budget_left=st.integers(0, 2**31 - 1),
)  # fmt: skip
WORDS = NAMES | odd_words().map(lambda word: word.encode("utf-8", "replace").decode())
IDS = st.integers(0, 2**64 - 1)
SESSIONS = st.sampled_from(["today", "yesterday", "", "é" * 300])
SAID = st.one_of(
    st.builds(ModelInfo, header=HEADERS, name=WORDS | st.just("P017"), version=WORDS | st.sampled_from(["1", "2"])),
    st.builds(
        SessionStatus, header=HEADERS, recording=st.booleans(), session=SESSIONS, participant=WORDS, privacy=WORDS,
        started=STAMPS, flags=st.integers(0, 2**32 - 1), bytes_written=IDS, problem=WORDS,
    ),
    st.builds(Recorded, header=HEADERS, session=SESSIONS, window_id=IDS, withdrawn=st.booleans(), clip=WORDS),
    st.builds(_good_estimate, st.integers(0, 20), IDS),
    ESTIMATES,
    QUERIES,
)  # fmt: skip


@st.composite
def said(draw: st.DrawFn) -> list[Any]:
    """Several of them; its text is short, which Hypothesis writes whenever it rejects a draw."""
    return draw(st.lists(SAID, max_size=8))


@fuzz(said())
@example([ModelInfo(name="é" * 300, version="1")])  # no folder can be called so
@example([_recording("today"), Recorded(session="today", window_id=2**64 - 1), _good_estimate(1, 1)])  # never was
def test_what_anybody_says_of_models_and_sessions(listeners: Listeners, messages: list[Any]) -> None:
    for message in [SessionStatus(), _recording("another"), *messages, _good_estimate(60, NOW_S * 10)]:
        listeners.hear(message)
    listeners.are_well()


@dataclass
class Listeners:
    """Who selects, and what a page knows of the graph: their callbacks are called as an executor would."""

    selector: SelectorNode
    page: Node
    feed: GraphFeed

    def hear(self, message: Any) -> None:
        """And after an estimate somebody flags the moment."""
        for node in (self.selector, self.page):
            for subscription in node.subscriptions:
                if subscription.msg_type is type(message):
                    subscription.callback(deserialize_message(serialize_message(message), type(message)))
        if isinstance(message, Engagement):
            self.ask(FlagNow)

    def ask(self, kind: Any, **asked: Any) -> Any:
        (service,) = (service for service in self.selector.services if service.srv_type is kind)
        answer = service.callback(kind.Request(**asked), kind.Response())
        serialize_message(answer)
        return answer

    def are_well(self) -> None:
        """What stands can be taken back, the page can be shown, and there is something to report."""
        for window_id in self.ask(GetBudget).flagged:
            assert self.ask(Unflag, window_id=window_id).success
        assert list(self.selector._reports())
        json.dumps(self.feed.state(), allow_nan=False)


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    model = tmp_path_factory.mktemp("models") / "P017"
    for version in ("2", "1"):
        write_model_set(model, version, feature_sets={Modality.AUDIO: "spectral"})
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    selector = SelectorNode(parameter_overrides=[Parameter("model", value=str(model))])
    page = Node("page")
    assert selector.trigger_configure() is TransitionCallbackReturn.SUCCESS
    assert selector.trigger_activate() is TransitionCallbackReturn.SUCCESS
    yield Listeners(selector, page, GraphFeed(page))
    for node in (selector, page):
        node.destroy_node()
    rclpy.try_shutdown()


@fuzz(QUERIES)
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
    """Nothing is plugged in, so nobody minds that for long neither picture nor sound comes."""
    start_ns, said = time.time_ns(), []
    card = SessionCard(
        name="", participant="P017", start=datetime.fromtimestamp(start_ns / 1e9, UTC), start_ns=start_ns,
        privacy=Privacy.CLIPS, software="1", devices={"camera": "none", "microphone": "none"},
    )  # fmt: skip
    topics = [bag_topic(topic, f"/mmal/{topic.name}") for topic, _ in HEARD]
    recorder = SessionRecorder(tmp_path_factory.mktemp("sessions"), card, topics, time.time_ns, said.append)
    yield Recording(recorder, said)
    recorder.stop()
    recorder.join()


CLIP_S = 0.5
TONE = (NOW_NS, np.full(4_000, 0.5, np.float32))


def _jpeg(width: int, height: int) -> bytes:
    picture = np.arange(3 * width * height, dtype=np.uint8).reshape(height, width, 3)
    return cv2.imencode(".jpg", picture)[1].tobytes()


JPEGS = [_jpeg(64, 48), _jpeg(48, 64)]


@fuzz(st.lists(st.sampled_from(JPEGS) | damaged_bytes(JPEGS), min_size=1, max_size=4), st.booleans())
@example([b"no picture"], False)  # which was a clip without a byte
@example([_jpeg(64, 1)], False)  # H.264 wants two rows
def test_a_clip_of_pictures_of_anybody(tmp_path: Path, jpegs: list[bytes], heard: bool) -> None:
    """It can be played and is as long as it should be, or there is none."""
    pictures = [(NOW_NS + number * 10**8, jpeg) for number, jpeg in enumerate(jpegs)]
    sound = [TONE] if heard else []
    content = ClipContent(NOW_NS, NOW_NS + round(CLIP_S * 10**9), pictures, sound, 8_000.0)
    try:
        encode_clip(tmp_path / "clip.mp4", content)
    except (av.FFmpegError, OSError) as error:
        assert str(error)
        return
    with av.open(str(tmp_path / "clip.mp4")) as clip:
        assert [stream.type for stream in clip.streams] == ["video", "audio"][: 1 + heard]
        assert float(clip.streams.video[0].duration * clip.streams.video[0].time_base) == pytest.approx(CLIP_S, abs=0.1)
        assert list(clip.decode(video=0))
