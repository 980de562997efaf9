"""Messages of other nodes, also of other people's: used, or refused and counted; no callback may end its node."""

from __future__ import annotations

import array
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from hypothesis import example
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from mmal_msgs.msg import Engagement, ModalityEstimate, Query
from mmal_msgs.msg import FeatureFrame as FeatureFrameMessage
from mmal_ros.datatypes import Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.nodes.conversions import MessageError, estimate_from_message, frame_from_message, query_from_message
from mmal_ros.nodes.images import CHANNELS, ImageError, image_to_sample
from mmal_ros.nodes.nao_audio import NaoAudio
from mmal_ros.window_stream import WindowStream
from rigs.fuzzing import fuzz

NOW_S = 1_800_000_000
NOW_NS = NOW_S * 10**9
SETS = {Modality.FACE: "mediapipe-face", Modality.PHYSIOLOGY: "e4"}
FLOATS = st.floats(width=32)
STAMPS = st.one_of(
    st.builds(Time, sec=st.integers(NOW_S - 3, NOW_S + 3), nanosec=st.sampled_from([0, 1, 10**8, 999_999_999])),
    st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1)),
)
HEADERS = st.builds(Header, stamp=STAMPS)
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
        Query, header=HEADERS, window_id=st.integers(0, 2**64 - 1), action=st.integers(0, 255), utility=FLOATS,
        policy=NAMES, reason=NAMES, budget=st.integers(0, 2**31 - 1), budget_left=st.integers(0, 2**31 - 1),
    )
)  # fmt: skip
def test_queries_of_anybody(message: Any) -> None:
    serialize_message(message)
    assert query_from_message(message).flag.window_id == message.window_id
