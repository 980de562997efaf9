"""From serialised messages to a session's recorder: most go to the bag unopened, a few say more than that."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage

from mmal_msgs.msg import ModelInfo, Query, SignalChunk
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.nodes.conversions import MessageError, to_ns
from mmal_ros.nodes.topics import IMAGE, MODEL_INFO, QUERY, SOUND, Topic
from mmal_ros.session.recorder import SessionRecorder
from mmal_ros.session.records import Flag

LOWEST_HZ, HIGHEST_HZ = 1_000, 192_000
"""Rates of sound; a clip of another one would be endless."""
STAMP_ENDS = 12
"""Bytes."""


def feed(recorder: SessionRecorder, topic: Topic, name: str, data: bytes, now_ns: int) -> None:
    """Hand over a message that came at `now_ns` on `topic`, whose full name is `name`.

    Raises:
        MessageError: it is damaged, or says what cannot be; does another software publish it?
    """
    if topic.name == QUERY.name and stamp_of(data) < recorder.card.start_ns:
        return  # said again for those who come late, but of an earlier session, perhaps of another child
    recorder.bag.add(name, data, now_ns, stamp_of(data))
    if topic.name in OPENED:
        OPENED[topic.name](recorder, data)


def stamp_of(data: bytes) -> int:
    """The stamp of a serialised message that begins with a header, as all of ours do, in nanoseconds.

    CDR: two bytes that say how it is encoded, the second odd for little endian; two more; then seconds, nanoseconds.

    Raises:
        MessageError: it is too short for a header, or of before 1970, which a bag cannot say.
    """
    if len(data) < STAMP_ENDS:
        raise MessageError(f"a message of {len(data)} bytes is none of ours")
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    if seconds < 0:
        raise MessageError("a message of before 1970 is none of ours")
    return int(seconds) * NANOSECONDS_PER_SECOND + int(nanoseconds)


def _opened(data: bytes, kind: type) -> Any:
    try:
        return deserialize_message(data, kind)
    except Exception as error:  # of the middleware, of codecs, of setters
        raise MessageError(f"a damaged {kind.__name__}: {error}") from error


def _query(recorder: SessionRecorder, data: bytes) -> None:
    query = _opened(data, Query)
    stamp_ns = to_ns(query.header.stamp)
    if query.action == Query.WITHDRAWN:
        recorder.withdraw(query.window_id, stamp_ns)
    else:
        recorder.flag(Flag(query.window_id, stamp_ns, query.policy, query.reason, query.utility))


def _model_info(recorder: SessionRecorder, data: bytes) -> None:
    info = _opened(data, ModelInfo)
    recorder.name_model(f"{info.name}/{info.version}")


def _image(recorder: SessionRecorder, data: bytes) -> None:
    image = _opened(data, CompressedImage)
    recorder.picture(to_ns(image.header.stamp), bytes(image.data))


def _sound(recorder: SessionRecorder, data: bytes) -> None:
    chunk = _opened(data, SignalChunk)
    if not LOWEST_HZ <= chunk.rate_hz <= HIGHEST_HZ:
        raise MessageError(f"nobody records sound with {chunk.rate_hz:g} values a second")
    recorder.sound(to_ns(chunk.header.stamp), np.frombuffer(chunk.values, np.float32), chunk.rate_hz)


OPENED = {QUERY.name: _query, MODEL_INFO.name: _model_info, IMAGE.name: _image, SOUND.name: _sound}
"""What more than the bag wants to know."""
