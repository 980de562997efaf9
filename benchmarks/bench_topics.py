"""Newest feature in -> `engagement` received by a subscriber in another process.

    python benchmarks/bench_topics.py [--seconds 60]

This process publishes made-up features of all four modalities and subscribes; engagement_node runs in another one.
At every tenth of a second the last frame that the estimate waits for is published, and the clock runs from there
until the estimate with that frame in it has arrived. Target: p99 at most 5 ms.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from report import percentiles, publish

from mmal_msgs.msg import Engagement
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, FeatureFrame, Modality
from mmal_ros.features.names import SIZES
from mmal_ros.models import load_model_set
from mmal_ros.nodes.conversions import frame_to_message, to_ns
from mmal_ros.nodes.topics import ENGAGEMENT, FEATURES
from mmal_ros.paths import find_model

NODE = "engagement_node"
WARM_UP_S = 3


class Prober:
    """Publishes a frame of every modality at every step, and notes when the estimates come."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = Node("prober", namespace="/mmal")
        self.sent_s: dict[int, float] = {}
        self.received: list[tuple[int, float, Engagement]] = []
        self._feature_sets = load_model_set(find_model("demo")).card.feature_sets
        self._publishers = {m: self.node.create_publisher(t.type, t.name, t.qos) for m, t in FEATURES.items()}
        self.node.create_subscription(ENGAGEMENT.type, ENGAGEMENT.name, self._on_engagement, ENGAGEMENT.qos)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        threading.Thread(target=self._executor.spin, daemon=True).start()

    def activate(self) -> None:
        """Bring the node in the other process to life."""
        client = self.node.create_client(ChangeState, f"/mmal/{NODE}/change_state")
        assert client.wait_for_service(20)
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
            while not future.done():
                time.sleep(0.01)
            assert future.result().success
        while any(publisher.get_subscription_count() == 0 for publisher in self._publishers.values()):
            time.sleep(0.05)

    def probe(self, seconds: float) -> None:
        """One frame of each modality at the end of every step."""
        generator = np.random.default_rng(0)
        end_ns = (time.time_ns() // STEP_NS + 2) * STEP_NS
        for _ in range(round(seconds * NANOSECONDS_PER_SECOND / STEP_NS)):
            frames = [self._frame(generator, modality, end_ns) for modality in Modality]
            while time.time_ns() < end_ns:
                time.sleep(max((end_ns - time.time_ns()) / NANOSECONDS_PER_SECOND - 0.0005, 0))
            for modality, message in zip(Modality, frames, strict=True):
                self.sent_s[end_ns] = time.perf_counter()
                self._publishers[modality].publish(message)
            end_ns += STEP_NS

    def close(self) -> None:
        """Leave ROS."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def _frame(self, generator: Any, modality: Modality, stamp_ns: int) -> Any:
        values = generator.standard_normal(SIZES[modality]).astype(np.float32)
        frame = FeatureFrame(modality, stamp_ns, values, True, 1.0, self._feature_sets[modality])
        return frame_to_message(frame, "benchmark")

    def _on_engagement(self, message: Engagement) -> None:
        self.received.append((to_ns(message.header.stamp), time.perf_counter(), message))


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure")
    seconds = parser.parse_args().seconds
    os.environ.setdefault("ROS_DOMAIN_ID", "77")
    program = str(Path(sys.executable).parent / NODE)
    node = subprocess.Popen([program, "--ros-args", "-r", "__ns:=/mmal", "--log-level", "error"])
    prober = Prober()
    try:
        prober.activate()
        prober.probe(seconds + WARM_UP_S)
        time.sleep(0.5)
    finally:
        prober.close()
        node.terminate()
        node.wait(10)
    complete = [entry for entry in prober.received if entry[0] in prober.sent_s and entry[2].latency < STEP_NS / 1e9]
    measured = complete[WARM_UP_S * 10 :]
    latencies = [received_s - prober.sent_s[end_ns] for end_ns, received_s, _ in measured]
    computing = [message.compute_time for _, _, message in measured]
    rows = {
        "newest feature in -> engagement received": percentiles(latencies),
        "of that: window, four LSTMs, vote": percentiles(computing),
    }
    publish(
        "topics",
        rows,
        f"{len(measured)} of {round(seconds * 10)} estimates; two processes, features of four modalities",
    )


if __name__ == "__main__":
    main()
