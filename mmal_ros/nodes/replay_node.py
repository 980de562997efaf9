"""replay: publishes what a session recorded, as if it happened now."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic_ns
from typing import Any

import rclpy
from rclpy.node import Node

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS
from mmal_ros.nodes.discovery import start_ros, stay_on_this_computer
from mmal_ros.nodes.recorded_topics import recorded_topics
from mmal_ros.nodes.sending import send
from mmal_ros.session.bag_reading import Bag
from mmal_ros.session.card import SessionError
from mmal_ros.session.records import Privacy

DISCOVERY_NS = NANOSECONDS_PER_SECOND
"""Those who listen find a new publisher within this time."""
STAMP = struct.Struct("<iI")
STAMP_AT = 4
"""A serialised message of ours begins, after four bytes of CDR, with the stamp of its header."""


class Stamps(StrEnum):
    """What stands in the headers."""

    NOW = "now"
    """As if it happened now: what live nodes take."""
    ORIGINAL = "original"
    """As recorded."""


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """What is published how."""

    rate: float = 1.0
    """Above 1: faster than it was. The stamps of `NOW` are as dense as the messages then, windows as full."""
    from_s: float = 0.0
    """Seconds of the recording that are left out at its beginning."""
    stamps: Stamps = Stamps.NOW
    only: Collection[str] = ()
    """Beginnings of topics, `features` or `e4/eda`; none: all that was recorded."""


class ReplayNode(Node):
    """Publishes the bytes of a bag on the topics they were recorded from, in its own namespace."""

    def __init__(self, bag: Bag, settings: ReplaySettings, **kwargs: Any) -> None:
        """Make the publishers; raises SessionError when there is nothing to publish."""
        super().__init__("replay", **kwargs)
        self._bag = bag
        self._settings = settings
        topics = {full: topic for topic in recorded_topics(Privacy.FULL) if (full := bag.named(topic.name))}
        chosen = {full: topic for full, topic in topics.items() if _wanted(topic.name, settings.only)}
        if not chosen:
            there = ", ".join(sorted(topic.name for topic in topics.values())) or "nothing"
            raise SessionError(f"of {', '.join(settings.only) or 'our topics'} nothing was recorded; there is {there}")
        self._publishers_of = {
            full: self.create_publisher(topic.type, topic.name, topic.qos) for full, topic in chosen.items()
        }
        self.start_ns = bag.start_ns + round(settings.from_s * NANOSECONDS_PER_SECOND)
        if self.start_ns > bag.end_ns:
            length_s = (bag.end_ns - bag.start_ns) / NANOSECONDS_PER_SECOND
            raise SessionError(f"the recording is only {length_s:.1f} s long; begin before that with --from")

    def play(self, stop: threading.Event, progress: Callable[[int], None] = lambda since_ns: None) -> int:
        """Publish everything once, in its own time, or until `stop` is set; returns how many messages.

        Args:
            stop: ends it at once, from another thread.
            progress: told after each message how far into the recording it was.
        """
        begin_ns = self._begin_ns()
        begun_ns = monotonic_ns() + begin_ns - self._now_ns()  # the same moment by a clock that nobody sets
        published = 0
        for received_ns, topic, data in self._bag.messages(self._publishers_of, self.start_ns):
            after_ns = round((received_ns - self.start_ns) / self._settings.rate)
            if stop.wait(max(begun_ns + after_ns - monotonic_ns(), 0) / NANOSECONDS_PER_SECOND):
                break
            message = bytes(data)
            if self._settings.stamps is Stamps.NOW:
                message = _stamped(message, begin_ns + after_ns - received_ns)
            send(self._publishers_of[topic], message)
            published += 1
            progress(received_ns - self.start_ns)
        return published

    def _begin_ns(self) -> int:
        """When the first message goes out: on the grid of the recording, so that its windows are cut alike."""
        soon_ns = self._now_ns() + DISCOVERY_NS
        return soon_ns + (self.start_ns - soon_ns) % STEP_NS

    def _now_ns(self) -> int:
        nanoseconds: int = self.get_clock().now().nanoseconds
        return nanoseconds


@contextmanager
def replaying(bag: Bag, settings: ReplaySettings, namespace: str = "/mmal") -> Iterator[ReplayNode]:
    """A replay node, and ROS around it; nothing is left behind at the end. Raises SessionError as the node does."""
    stay_on_this_computer()
    start_ros()
    try:
        node = ReplayNode(bag, settings, namespace=namespace)
        try:
            yield node
        finally:
            node.destroy_node()
    finally:
        rclpy.try_shutdown()


def _wanted(topic: str, only: Collection[str]) -> bool:
    return not only or any(f"{topic}/".startswith(f"{name.strip('/')}/") for name in only)


def _stamped(message: bytes, shift_ns: int) -> bytes:
    """The message with its stamp moved; one that has none (0) keeps it."""
    seconds, nanoseconds = STAMP.unpack_from(message, STAMP_AT)
    stamp_ns = seconds * NANOSECONDS_PER_SECOND + nanoseconds
    if not stamp_ns:
        return message
    stamp = STAMP.pack(*divmod(stamp_ns + shift_ns, NANOSECONDS_PER_SECOND))
    return message[:STAMP_AT] + stamp + message[STAMP_AT + STAMP.size :]
