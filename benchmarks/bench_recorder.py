"""What recording costs, and how soon a flag and its clip are safely on disk.

    python benchmarks/bench_recorder.py [--seconds 60] [--features FILE.npz]

recorder_node runs in a process of its own; this one publishes, in real time, what the graph publishes: features of the
simulated person (or those of a recording that `mmal run --fast --save-features` made), over and over, the estimates
of the model that comes along, the raw signals of the simulated wristband. For the clips: pictures of 640 x 480, 15 a
second, and sound. Targets: 0.15 core and 60 MB an hour without pictures; flag and clip on disk at most 2 s after the
end of the clip.
"""

from __future__ import annotations

import argparse
import heapq
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test"))
os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 200 + 1))
from report import percentiles, publish
from sensor_msgs.msg import CompressedImage

from mmal_msgs.msg import Query
from mmal_msgs.srv import StartSession
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.features.recording import FeatureRecording, read_recording, write_recording
from mmal_ros.models import load_model_set
from mmal_ros.nodes.conversions import estimate_to_message, frame_to_message, sample_to_message, to_time
from mmal_ros.nodes.topics import (
    ENGAGEMENT,
    FEATURES,
    IMAGE,
    QUERY,
    RECORDED,
    SESSION_STATUS,
    SIGNALS,
    SOUND,
    START_SESSION,
    Topic,
)
from mmal_ros.offline import recorded_frames
from mmal_ros.paths import find_model
from mmal_ros.pipeline import EngagementPipeline
from mmal_ros.recorded_windows import score_recording
from mmal_ros.sensors.specs import Sensor, parse_spec, recorded_source
from mmal_ros.session.records import CLIP_MARGIN_NS
from rigs.ros import Participant, node_process, participant, wait_until  # type: ignore[import-not-found]

START_NS = 1_790_000_000 * NANOSECONDS_PER_SECOND
SIMULATED_S = 20.0
PICTURE_HZ = 15
FLAG_EVERY_S = 4.0
SETTLE_S = 3.0


@dataclass(frozen=True)
class Said:
    """A message of the graph, and when it is said: nanoseconds from the beginning."""

    after_ns: int
    topic: Topic
    message: Any


def simulated_features() -> FeatureRecording:
    """Those of the simulated person, through the vision and hearing of the live graph."""
    specs = {sensor: parse_spec(sensor, "synthetic") for sensor in Sensor}
    end_ns = START_NS + round(SIMULATED_S * NANOSECONDS_PER_SECOND)
    frames = []
    for known_ns, frame in recorded_frames(specs, START_NS, "opensmile-egemaps"):
        if known_ns > end_ns:
            break
        if frame is not None:
            frames.append((known_ns, frame))
    with tempfile.TemporaryDirectory() as folder:
        write_recording(Path(folder) / "features.npz", START_NS, frames)
        return read_recording(Path(folder) / "features.npz")


def wristband(until_ns: int) -> Iterator[Said]:
    """The raw signals of the simulated wristband."""
    with recorded_source(parse_spec(Sensor.WRISTBAND, "synthetic"), START_NS) as source:
        for sample in source:
            if sample.end_ns - START_NS > until_ns:
                return
            yield Said(sample.end_ns - START_NS, SIGNALS[sample.source], sample_to_message(sample, "wristband"))


def script(recording: FeatureRecording) -> list[Said]:
    """All that the graph says in the time of the recording."""
    start_ns = recording.start_ns
    said = [
        Said(known_ns - start_ns, FEATURES[frame.modality], frame_to_message(frame, frame.modality))
        for known_ns, frame in recording.frames()
    ]
    for estimate in score_recording(EngagementPipeline(load_model_set(find_model("demo"))), recording):
        message = estimate_to_message(estimate, 700_000, estimate.stamp_ns + 41_234_567)
        said.append(Said(estimate.stamp_ns - start_ns, ENGAGEMENT, message))
    end_ns = max(one.after_ns for one in said)
    return sorted([*said, *wristband(end_ns)], key=lambda one: one.after_ns)


def seen_and_heard() -> Iterator[Said]:
    """Two seconds of the simulated person's pictures, as camera_node sends them, and noise, for ever."""
    images = [CompressedImage(format="jpeg", data=jpeg) for jpeg in simulated_pictures(2 * PICTURE_HZ)]
    hiss = np.random.default_rng(0).normal(0, 0.1, 800).astype(np.float32)
    pictures = (Said(n * NANOSECONDS_PER_SECOND // PICTURE_HZ, IMAGE, images[n % len(images)]) for n in count())
    sound = (
        Said(n * 50_000_000, SOUND, sample_to_message(Sample("microphone", 0, hiss, 16_000.0), "m")) for n in count()
    )
    return heapq.merge(pictures, sound, key=lambda one: one.after_ns)


def simulated_pictures(number: int) -> list[bytes]:
    """JPEGs of 640 x 480, every second picture of 30 a second."""
    with recorded_source(parse_spec(Sensor.CAMERA, "synthetic"), START_NS) as source:
        pictures = [sample.values for sample in islice(source, 0, 2 * number, 2)]
    quality = [cv2.IMWRITE_JPEG_QUALITY, 80]
    return [cv2.imencode(".jpg", cv2.resize(picture, (640, 480)), quality)[1].tobytes() for picture in pictures]


def over_and_over(said: list[Said]) -> Iterator[Said]:
    """Again from the beginning when it is over."""
    length_ns = said[-1].after_ns + 1
    for turn in count():
        yield from (Said(turn * length_ns + one.after_ns, one.topic, one.message) for one in said)


def play(ros: Participant, said: Iterator[Said], seconds: float, flag_every_s: float | None = None) -> dict[int, int]:
    """Publish in real time; returns the flagged windows and their stamps."""
    publishers: dict[str, Any] = {}
    flags: dict[int, int] = {}
    queries = ros.node.create_publisher(QUERY.type, QUERY.name, QUERY.qos)
    begin_ns = time.time_ns()
    for one in said:
        now_ns = time.time_ns()
        if now_ns - begin_ns > seconds * NANOSECONDS_PER_SECOND:
            break
        time.sleep(max(0, begin_ns + one.after_ns - now_ns) / NANOSECONDS_PER_SECOND)
        if one.topic.name not in publishers:
            publishers[one.topic.name] = ros.node.create_publisher(one.topic.type, one.topic.name, one.topic.qos)
        one.message.header.stamp = to_time(begin_ns + one.after_ns)
        publishers[one.topic.name].publish(one.message)
        if flag_every_s is not None and now_ns - begin_ns > (SETTLE_S + len(flags) * flag_every_s) * 1e9:
            flags[len(flags)] = now_ns
            message = Query(window_id=len(flags) - 1)
            message.header.stamp = to_time(now_ns)
            queries.publish(message)
    return flags


def cost(said: list[Said], seconds: float, folder: Path) -> dict[str, float]:
    """CPU and disk of a recorder without pictures."""
    with participant() as ros, node_process("recorder_node", sessions=folder, privacy="features_only") as process:
        status = ros.listen(SESSION_STATUS)
        ros.activate("recorder_node")
        assert ros.call(*START_SESSION, StartSession.Request(participant="P1")).success
        play(ros, over_and_over(said), SETTLE_S)
        recorder, begin_s = psutil.Process(process.pid), time.monotonic()
        before_cpu, before_bytes = recorder.cpu_times(), status[-1].bytes_written
        play(ros, over_and_over(said), seconds)
        after_cpu, took_s = recorder.cpu_times(), time.monotonic() - begin_s
        used_s = after_cpu.user + after_cpu.system - before_cpu.user - before_cpu.system
        return {
            "core": used_s / took_s,
            "MB_an_hour": (status[-1].bytes_written - before_bytes) / 1e6 / took_s * 3600,
            "memory_MB": recorder.memory_info().rss / 1e6,
        }


def delays(said: list[Said], seconds: float, folder: Path) -> tuple[list[float], list[float], float]:
    """Seconds from flag to acknowledgement, from the end of its clip to that of the clip; and the share of a core."""
    with participant() as ros, node_process("recorder_node", sessions=folder, privacy="clips") as process:
        heard: list[tuple[int, Any]] = []
        ros.node.create_subscription(
            RECORDED.type, RECORDED.name, lambda message: heard.append((time.time_ns(), message)), RECORDED.qos
        )
        ros.activate("recorder_node")
        assert ros.call(*START_SESSION, StartSession.Request(participant="P1")).success
        stream = heapq.merge(over_and_over(said), seen_and_heard(), key=lambda one: one.after_ns)
        recorder, begin_s = psutil.Process(process.pid), time.monotonic()
        before = recorder.cpu_times()
        flags = play(ros, stream, seconds, FLAG_EVERY_S)
        after = recorder.cpu_times()
        core = (after.user + after.system - before.user - before.system) / (time.monotonic() - begin_s)
        wait_until(lambda: sum(bool(message.clip) for _, message in heard) == len(flags), 120)
    flagged = [(at_ns - flags[one.window_id]) / 1e9 for at_ns, one in heard if not one.clip]
    clipped = [(at_ns - flags[one.window_id] - CLIP_MARGIN_NS) / 1e9 for at_ns, one in heard if one.clip]
    return flagged, clipped, core


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--features", type=Path)
    arguments = parser.parse_args()
    recording = read_recording(arguments.features) if arguments.features else simulated_features()
    said = script(recording)
    rate = len(said) / (said[-1].after_ns / 1e9)
    with tempfile.TemporaryDirectory() as folder:
        without = cost(said, arguments.seconds, Path(folder))
        flagged, clipped, core = delays(said, arguments.seconds, Path(folder))
    publish(
        "recorder",
        {
            "features_only": {**without, "messages_a_second": rate},
            "flag to acknowledgement": percentiles(flagged),
            "end of clip to acknowledgement of clip": {**percentiles(clipped), "core": core},
        },
        "targets: 0.15 core, 60 MB an hour, 2 s",
    )


if __name__ == "__main__":
    main()
