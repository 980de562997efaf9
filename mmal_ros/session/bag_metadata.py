"""What rosbag2 wants to know of a bag before it opens it: metadata.yaml, version 9 (Jazzy)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmal_ros.files import write_atomically

BAG_FILE = "bag_0.mcap"
METADATA_FILE = "metadata.yaml"


@dataclass(frozen=True, slots=True)
class BagTopic:
    """A topic as the bag describes it."""

    name: str
    """With its namespace: `/mmal/features/face`."""
    type: str
    """`mmal_msgs/msg/FeatureFrame`"""
    definition: str
    """The text of the message file and of those it needs, in the format `ros2msg`."""
    qos: Sequence[Mapping[str, Any]] = ()
    """Quality of service that was offered, one mapping per publisher, in rosbag2's words."""


class Tally:
    """Counts messages as metadata.yaml wants them counted."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first_ns: int | None = None
        self.last_ns = 0

    def count(self, topic: str, received_ns: int) -> None:
        """One message of a topic."""
        self.counts[topic] = self.counts.get(topic, 0) + 1
        self.first_ns = received_ns if self.first_ns is None else min(self.first_ns, received_ns)
        self.last_ns = max(self.last_ns, received_ns)


def write_metadata(folder: Path, topics: Sequence[BagTopic], tally: Tally) -> None:
    """Write metadata.yaml, as a whole; JSON is YAML too."""
    first_ns = tally.first_ns or 0
    total = sum(tally.counts.values())
    start = {"nanoseconds_since_epoch": first_ns}
    duration = {"nanoseconds": tally.last_ns - first_ns if total else 0}
    content = {
        "version": 9,
        "storage_identifier": "mcap",
        "duration": duration,
        "starting_time": start,
        "message_count": total,
        "topics_with_message_count": [
            {"topic_metadata": _topic_metadata(topic), "message_count": tally.counts.get(topic.name, 0)}
            for topic in topics
        ],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [BAG_FILE],
        "files": [{"path": BAG_FILE, "starting_time": start, "duration": duration, "message_count": total}],
        "custom_data": None,
        "ros_distro": "jazzy",
    }
    write_atomically(folder / METADATA_FILE, json.dumps({"rosbag2_bagfile_information": content}, indent=2) + "\n")


def is_complete(folder: Path) -> bool:
    """Whether the bag was closed, or salvaged."""
    return (folder / METADATA_FILE).is_file()


def _topic_metadata(topic: BagTopic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "type": topic.type,
        "serialization_format": "cdr",
        "offered_qos_profiles": list(topic.qos),
        "type_description_hash": "",
    }
