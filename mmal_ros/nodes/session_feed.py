"""From serialised messages to a session's recorder: most go to the bag unopened, a few say more than that."""

from __future__ import annotations

import struct

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage

from mmal_msgs.msg import ModelInfo, Query, SignalChunk
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.nodes.conversions import to_ns
from mmal_ros.nodes.topics import IMAGE, MODEL_INFO, QUERY, SOUND, Topic
from mmal_ros.session.recorder import SessionRecorder
from mmal_ros.session.records import Flag


def feed(recorder: SessionRecorder, topic: Topic, name: str, data: bytes, now_ns: int) -> None:
    """Hand over a message that came at `now_ns` on `topic`, whose full name is `name`."""
    if topic.name == QUERY.name and stamp_of(data) < recorder.card.start_ns:
        return  # said again for those who come late, but of an earlier session, perhaps of another child
    recorder.bag.add(name, data, now_ns, stamp_of(data))
    if topic.name in OPENED:
        OPENED[topic.name](recorder, data)


def stamp_of(data: bytes) -> int:
    """The stamp of a serialised message that begins with a header, as all of ours do, in nanoseconds.

    CDR: two bytes that say how it is encoded, the second odd for little endian; two more; then seconds, nanoseconds.
    """
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(seconds) * NANOSECONDS_PER_SECOND + int(nanoseconds)


def _query(recorder: SessionRecorder, data: bytes) -> None:
    query = deserialize_message(data, Query)
    stamp_ns = to_ns(query.header.stamp)
    if query.action == Query.WITHDRAWN:
        recorder.withdraw(query.window_id, stamp_ns)
    else:
        recorder.flag(Flag(query.window_id, stamp_ns, query.policy, query.reason, query.utility))


def _model_info(recorder: SessionRecorder, data: bytes) -> None:
    info = deserialize_message(data, ModelInfo)
    recorder.name_model(f"{info.name}/{info.version}")


def _image(recorder: SessionRecorder, data: bytes) -> None:
    image = deserialize_message(data, CompressedImage)
    recorder.picture(to_ns(image.header.stamp), bytes(image.data))


def _sound(recorder: SessionRecorder, data: bytes) -> None:
    chunk = deserialize_message(data, SignalChunk)
    recorder.sound(to_ns(chunk.header.stamp), np.frombuffer(chunk.values, np.float32), chunk.rate_hz)


OPENED = {QUERY.name: _query, MODEL_INFO.name: _model_info, IMAGE.name: _image, SOUND.name: _sound}
"""What more than the bag wants to know."""
