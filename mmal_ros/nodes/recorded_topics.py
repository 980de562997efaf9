"""What a session records: the topics, as the bag describes them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rclpy.duration import Duration

from mmal_ros.nodes.topics import ENGAGEMENT, FEATURES, IMAGE, MODEL_INFO, QUERY, SIGNALS, SOUND, Topic
from mmal_ros.session.bag_metadata import BagTopic
from mmal_ros.session.card import SessionError
from mmal_ros.session.records import Privacy

ALWAYS = (*FEATURES.values(), *SIGNALS.values(), ENGAGEMENT, QUERY, MODEL_INFO)
"""Features, raw wristband signals, estimates, flags, model sets."""
SEEN_AND_HEARD = (IMAGE, SOUND)
"""Looked at only where privacy allows, and kept whole only at `full`."""
FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)(?:\[[^\]]*\])?\s+[a-z]\w*", re.MULTILINE)
"""The type at the beginning of a field's line; comments and constants do not match."""


def recorded_topics(privacy: Privacy) -> tuple[Topic, ...]:
    """What goes into the bag."""
    return (*ALWAYS, *SEEN_AND_HEARD) if privacy is Privacy.FULL else ALWAYS


def bag_topic(topic: Topic, name: str) -> BagTopic:
    """A topic, whose full name is `name`, as the bag describes it; raises SessionError when its text is not there."""
    kind = topic.type_name
    return BagTopic(name, kind, definition(kind.replace("/msg/", "/")), [_offered(topic.qos)])


def definition(name: str) -> str:
    """The text of `package/Name` and of all messages in it, as rosbag2 and Foxglove want it (`ros2msg`)."""
    texts = {name: _text(name)}
    waiting = list(_parts(name, texts[name]))
    while waiting:
        part = waiting.pop(0)
        if part not in texts:
            texts[part] = _text(part)
            waiting += _parts(part, texts[part])
    own, *others = texts.items()
    return own[1] + "".join(f"{'=' * 80}\nMSG: {part}\n{text}" for part, text in others)


def _parts(name: str, text: str) -> Iterator[str]:
    """The messages that a message consists of; plain types have small initials."""
    for kind in FIELD.findall(text):
        if kind[0].isupper():
            yield f"{name.partition('/')[0]}/{kind}"
        elif "/" in kind:
            yield kind


def _text(name: str) -> str:
    package, _, message = name.partition("/")
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    for prefix in prefixes:
        path = Path(prefix) / "share" / package / "msg" / f"{message}.msg"
        if path.is_file():
            return path.read_text().rstrip("\n") + "\n"
    raise SessionError(
        f"nothing can be recorded: the definition of {name} is not in {', '.join(prefixes)}; "
        f"install {package}, or source its workspace"
    )


def _offered(qos: Any) -> dict[str, Any]:
    """A quality of service in rosbag2's words (metadata version 9)."""
    return {
        "history": qos.history.name.lower(),
        "depth": qos.depth,
        "reliability": qos.reliability.name.lower(),
        "durability": qos.durability.name.lower(),
        "deadline": _span(qos.deadline),
        "lifespan": _span(qos.lifespan),
        "liveliness": qos.liveliness.name.lower(),
        "liveliness_lease_duration": _span(qos.liveliness_lease_duration),
        "avoid_ros_namespace_conventions": qos.avoid_ros_namespace_conventions,
    }


def _span(duration: Duration) -> dict[str, int]:
    seconds, nanoseconds = divmod(duration.nanoseconds, 1_000_000_000)
    return {"sec": seconds, "nsec": nanoseconds}
