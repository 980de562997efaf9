"""The recorder's node is killed: what it acknowledged is there, and its bag opens. More kills: test/faults."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from std_msgs.msg import Header

from mmal_msgs.msg import Query
from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.nodes.conversions import frame_to_message, to_time
from mmal_ros.nodes.topics import FEATURES, QUERY, RECORDED
from mmal_ros.session.folder import sessions_in
from mmal_ros.session.salvage import ensure_readable
from mmal_ros.session.store import SessionStore
from rigs.ros import node_process, participant

LOST_AT_MOST_S = 5.0
"""A second between two flushes, and a machine that is busy with other tests."""


@pytest.mark.parametrize("seed", range(3))
def test_a_recorder_node_that_is_killed_loses_nothing_that_it_acknowledged(tmp_path, seed):
    chance = random.Random(seed)
    with participant() as ros:
        recorded = ros.listen(RECORDED)
        with node_process("recorder_node", sessions=tmp_path, participant="P017", auto_start=True) as process:
            ros.activate("recorder_node")
            faces, queries = ros.publisher(FEATURES[Modality.FACE]), ros.publisher(QUERY)
            end_s = time.monotonic() + chance.uniform(1.0, 3.0)
            window = 0
            while time.monotonic() < end_s:
                window += 1
                frame = FeatureFrame(Modality.FACE, time.time_ns(), np.ones(257, np.float32), True, 1.0, "a-set")
                faces.publish(frame_to_message(frame, "camera"))
                queries.publish(Query(header=Header(stamp=to_time(time.time_ns())), window_id=window))
                time.sleep(0.03)
            process.kill()
            process.communicate(timeout=20)
            killed_ns = time.time_ns()
        time.sleep(0.2)  # what it said last may still be under way
        acknowledged = {message.window_id for message in recorded}
    assert acknowledged
    (folder,) = sessions_in(tmp_path)
    with SessionStore(folder.labels) as store:
        assert acknowledged <= {flag.window_id for flag in store.flags()}
    assert ensure_readable(folder)
    with AnyReader([folder.bag]) as reader:
        assert (killed_ns - reader.end_time) / 1e9 < LOST_AT_MOST_S
