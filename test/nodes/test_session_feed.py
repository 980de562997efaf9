"""From the topics into a session: what belongs to it, and what was said before it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rclpy.serialization import serialize_message

from mmal_msgs.msg import Query
from mmal_ros.nodes.conversions import to_time
from mmal_ros.nodes.recorded_topics import bag_topic
from mmal_ros.nodes.session_feed import feed
from mmal_ros.nodes.topics import QUERY
from mmal_ros.session.bag_reading import Bag
from mmal_ros.session.card import SessionCard
from mmal_ros.session.recorder import SessionRecorder
from mmal_ros.session.records import Privacy
from mmal_ros.session.store import SessionStore

NAME = "/mmal/query"


def query(window_id: int, stamp_ns: int) -> bytes:
    message = Query(window_id=window_id, policy="random", reason="any moment")
    message.header.stamp = to_time(stamp_ns)
    return serialize_message(message)


def test_queries_of_an_earlier_session_get_neither_into_the_bag_nor_among_the_flags(tmp_path):
    """They are said again to whoever comes late, also to a recorder that begins with another child."""
    start_ns = time.time_ns()
    start = datetime.fromtimestamp(start_ns / 1e9, UTC)
    fields = {"name": "", "participant": "P018", "start": start, "start_ns": start_ns, "software": "1"}
    card = SessionCard.model_validate(fields | {"privacy": Privacy.FEATURES_ONLY})
    recorder = SessionRecorder(tmp_path, card, [bag_topic(QUERY, NAME)], time.time_ns, lambda what: None)
    for window_id, stamp_ns in ((1, start_ns - 10**9), (2, start_ns + 10**9)):
        feed(recorder, QUERY, NAME, query(window_id, stamp_ns), time.time_ns())
    recorder.stop()
    recorder.join()
    with SessionStore(recorder.folder.labels) as store:
        assert [flag.window_id for flag in store.flags()] == [2]
    assert len(list(Bag(recorder.folder).messages([NAME]))) == 1
