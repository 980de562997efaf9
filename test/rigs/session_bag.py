"""A bag as a recorder leaves it, from messages that are serialised already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import merge
from typing import NamedTuple

from mmal_ros.nodes.recorded_topics import bag_topic, recorded_topics
from mmal_ros.session.bag import BagWriter
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Privacy


class Message(NamedTuple):
    """One serialised message, and when it came in."""

    log_ns: int
    stamp_ns: int
    topic: str
    data: bytes


def write_bag(folder: SessionFolder, streams: Sequence[Iterable[Message]]) -> None:
    """Write messages, each stream in the order of time, as the bag of a session."""
    topics = [bag_topic(topic, f"/mmal/{topic.name}") for topic in recorded_topics(Privacy.FULL)]
    with BagWriter(folder.bag, topics) as bag:
        for message in merge(*streams, key=lambda message: message.log_ns):
            bag.write(message.topic, message.data, message.log_ns, message.stamp_ns)
