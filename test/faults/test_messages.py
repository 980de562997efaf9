"""Messages that are wrong, and publishers of another kind: what the graph's user sees.

A launched graph with a real microphone and wristband; FACE comes from this process, so that it can be spoilt.
"""

from __future__ import annotations

import array
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64MultiArray

from mmal_msgs.msg import FeatureFrame as FeatureFrameMessage
from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.features.names import SIZES
from mmal_ros.nodes.conversions import MODALITY_CODES, frame_to_message, to_time
from mmal_ros.nodes.topics import FEATURES
from rigs.estimates import went_on
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.ros import Participant, values_of
from rigs.watched_launch import WatchedLaunch, watched_launch

FACE = Modality.FACE
SIZE = SIZES[FACE]
START_TIMEOUT_S = 60.0
HEARD = (Modality.AUDIO, Modality.PHYSIOLOGY)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Its camera is off."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("graph")
    with watched_launch(home, folder, camera="none") as watched:
        seconds_until(lambda: watched.hears(*HEARD), START_TIMEOUT_S)
        yield watched


@contextmanager
def faces(ros: Participant, reliability: ReliabilityPolicy) -> Iterator:
    """A publisher of FACE."""
    topic = FEATURES[FACE]
    publisher = ros.node.create_publisher(topic.type, topic.name, QoSProfile(depth=20, reliability=reliability))
    try:
        yield publisher
    finally:
        ros.node.destroy_publisher(publisher)


@pytest.fixture(scope="module")
def publisher(watched):
    """A sensor that works."""
    with faces(watched.ros, ReliabilityPolicy.BEST_EFFORT) as publisher:
        good_again(watched, publisher)
        yield publisher


def face(**spoilt) -> FeatureFrameMessage:
    values = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
    message = frame_to_message(FeatureFrame(FACE, time.time_ns(), values, True, 1.0, "mediapipe-face"), "test")
    for name, value in spoilt.items():
        setattr(message, name, value)
    return message


def stamped(stamp_ns: int) -> FeatureFrameMessage:
    message = face()
    message.header.stamp = to_time(stamp_ns)
    return message


def with_values(values: list[float]) -> FeatureFrameMessage:
    return face(values=array.array("f", values))


SPOILT = {
    "NaN in a feature message": (lambda: with_values([math.nan] * SIZE), "NaN or infinite"),
    "infinity in a feature message": (lambda: with_values([math.inf] + [0.0] * (SIZE - 1)), "NaN or infinite"),
    "feature message of a wrong length": (lambda: with_values([0.0] * (SIZE - 1)), "wrong length"),
    "feature message without values": (lambda: with_values([]), "wrong length"),
    "feature message of another feature list": (lambda: face(feature_set="openface-2"), "another feature list"),
    "stamp of zero": (lambda: stamped(0), "too late for any window"),
    "stamp 5 s in the future": (lambda: stamped(time.time_ns() + 5 * 10**9), "stamped in the future"),
    "stamp 5 s in the past": (lambda: stamped(time.time_ns() - 5 * 10**9), "too late for any window"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_a_spoilt_message_is_rejected_and_named_and_the_estimates_go_on(watched, publisher, fault):
    """One sensor sends rubbish for half a second: that is said, the others are heard, and its good frames count."""
    make, reason = SPOILT[fault]
    before, rejected = len(watched.estimates), rejections(watched, reason)
    began_s = time.monotonic()
    for _ in range(10):
        publisher.publish(make())
        time.sleep(0.05)
    seconds_until(lambda: rejections(watched, reason) >= rejected + 10)
    assert reason in watched.said("face")
    detected_s = time.monotonic() - began_s
    recovered_s = good_again(watched, publisher)
    keep(Outcome(fault, "10 messages to `features/face`", detected_s, recovered_s, "those messages, counted"))
    went_on(watched.estimates[before:])
    assert watched.hears(*HEARD)
    lines = [line for line in watched.graph.log("engagement_node").splitlines() if reason in line]
    assert 1 <= len(lines) <= 6, lines  # once for every state of the modality, not once a message


def test_a_damaged_message_is_passed_over(watched, publisher):
    """Half a message, and bytes that are none: the node neither dies nor stops."""
    good_again(watched, publisher)
    before, pid = len(watched.estimates), watched.graph.pid("engagement_node")
    whole = serialize_message(face())
    for damaged in (whole[:20], whole[:-3], whole[:4] + b"\xff" * 100, whole[:4], b""):
        publisher.publish(damaged)
        time.sleep(0.1)
    recovered_s = good_again(watched, publisher)
    keep(Outcome("damaged feature message", "5 cut or senseless ones to `features/face`", None, recovered_s, "those"))
    went_on(watched.estimates[before:])
    assert watched.graph.pid("engagement_node") == pid


def test_a_publisher_of_another_type_is_not_heard(watched, publisher):
    """Somebody sends doubles: ROS keeps the two apart, that is said, and FACE of the real one counts."""
    good_again(watched, publisher)
    before, context = len(watched.estimates), rclpy.Context()
    rclpy.init(context=context)
    stranger = Node("stranger", namespace="/mmal", context=context)
    doubles = stranger.create_publisher(Float64MultiArray, FEATURES[FACE].name, 10)
    doubles.publish(Float64MultiArray(data=[1.0] * SIZE))
    detected_s = seconds_until(lambda: "somebody publishes std_msgs/msg/Float64MultiArray" in watched.said("face"))
    recovered_s = good_again(watched, publisher)
    stranger.destroy_node()
    rclpy.shutdown(context=context)
    seconds_until(lambda: "somebody publishes" not in watched.said("face"))
    keep(Outcome("features of another message type", "doubles to `features/face`", detected_s, recovered_s))
    went_on(watched.estimates[before:])


def rejections(watched: WatchedLaunch, reason: str) -> int:
    """How many frames of FACE were rejected for a reason, as /diagnostics count them."""
    said = values_of(watched.reports, "face")["frames rejected"]
    counted = [part.split(maxsplit=1) for part in said.split(", ")]
    return sum(int(words[0]) for words in counted if reason in words[-1])


def good_again(watched: WatchedLaunch, publisher) -> float:
    """Seconds of good frames until they count."""
    began_s, seen = time.monotonic(), frames_seen(watched)
    while not (watched.hears(FACE) and frames_seen(watched) > seen):
        publisher.publish(face())
        time.sleep(0.05)
        assert time.monotonic() < began_s + 30
    return time.monotonic() - began_s


def frames_seen(watched: WatchedLaunch) -> int:
    return watched.estimates[-1].modalities[MODALITY_CODES[FACE]].frames_seen


@pytest.mark.parametrize("kind", ["BEST_EFFORT", "RELIABLE"])
def test_both_kinds_of_publisher_are_heard(watched, kind):
    with faces(watched.ros, ReliabilityPolicy[kind]) as publisher:
        heard_s = good_again(watched, publisher)
    keep(Outcome(f"publisher {kind.lower().replace('_', ' ')}", "a new one of `features/face`", None, heard_s))


def test_a_reader_that_wants_what_is_not_offered_is_named_with_the_topic(watched):
    """Somebody listens to features reliably, which best effort does not offer: the node's log says so at once."""
    topic = FEATURES[Modality.AUDIO]
    reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
    subscription = watched.ros.node.create_subscription(topic.type, topic.name, print, reliable)
    warned_s = seconds_until(lambda: "incompatible QoS" in watched.graph.log("microphone_node"))
    watched.ros.node.destroy_subscription(subscription)
    keep(Outcome("reliable reader of a best-effort topic", "subscription to `features/audio`", warned_s, None))
    (line,) = [line for line in watched.graph.log("microphone_node").splitlines() if "incompatible QoS" in line]
    assert "features/audio" in line
    assert "RELIABILITY" in line
