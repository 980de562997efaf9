"""The whole live graph for a minute: camera frame -> estimate that contains it, cores, memory, dropped frames.

    python benchmarks/bench_graph.py [--seconds 60]

A video of 640 x 480 at 30 Hz, a sound file and a wristband's samples are made beforehand (simulated person) and played
in real time, so that making them costs nothing while it is measured. The face is looked for in every picture, the
pose in every second one. Two runs: ten estimates a second as usual, and fifty, where an estimate need not wait for
the next tenth. A frame without a face in it (the simulated person looks away) has no features and is not counted; one
that vision had no time for is counted as dropped. Targets: p99 of frame -> estimate at most 60 ms; at most 1.2 cores.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
import psutil
from report import percentiles, publish

from mmal_msgs.msg import Engagement, FeatureFrame
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Modality
from mmal_ros.nodes.conversions import to_ns
from mmal_ros.nodes.graph import Graph, GraphSettings
from mmal_ros.nodes.topics import FEATURES
from mmal_ros.sensors.specs import Sensor
from mmal_ros.sensors.synthetic import SyntheticCamera, SyntheticMicrophone, simulated_person

SEED = 1000
CAMERA_HZ = 30
WARM_UP_S = 5
WRISTBAND = Path(__file__).resolve().parents[2] / "shared/data/stress-predict/S05.tar.gz"


def main() -> None:
    """Both runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure each of the two runs")
    seconds = parser.parse_args().seconds
    os.environ.setdefault("ROS_DOMAIN_ID", "78")
    with TemporaryDirectory() as folder:
        sources = record(Path(folder), seconds + 2 * WARM_UP_S)
        rows: dict[str, dict[str, Any]] = {}
        for rate_hz in (10.0, 50.0):
            rows |= measure(sources, rate_hz, seconds)
    publish("graph", rows, "frame: when it was taken; until the first estimate that contains it was received")


def measure(sources: dict[Sensor, str], rate_hz: float, seconds: float) -> dict[str, dict[str, Any]]:
    """Run the graph and look at its topic and its processes."""
    received: list[tuple[float, Engagement]] = []
    faces: list[FeatureFrame] = []
    load: list[float] = []
    memory: list[float] = []
    settings = GraphSettings(sources=sources, engagement={"rate_hz": rate_hz})
    topic = FEATURES[Modality.FACE]
    with Graph(settings, lambda message: received.append((time.time(), message))) as graph:
        graph.listener.create_subscription(topic.type, topic.name, faces.append, topic.qos)
        time.sleep(WARM_UP_S)
        for _ in sampled_every_second(seconds, load, memory):
            pass
        start_ns = graph.start_ns
    name = f"{rate_hz:.0f}/s: "
    begin_s, end_s = start_ns / 1e9 + WARM_UP_S, start_ns / 1e9 + seconds
    seen = [to_ns(face.header.stamp) / 1e9 for face in faces]
    with_face = [to_ns(face.header.stamp) / 1e9 for face in faces if face.valid]
    dropped = (seconds - WARM_UP_S) * CAMERA_HZ - sum(begin_s < frame <= end_s for frame in seen)
    delays, missed = frame_delays([frame for frame in with_face if begin_s < frame <= end_s], received)
    return {
        name + "camera frame -> estimate that contains it": percentiles(delays)
        | {"not in any": missed, "dropped": round(dropped)},
        name + "newest measurement -> published": percentiles(
            [m.latency for _, m in received if m.latency == m.latency]
        ),
        name + "window, four LSTMs, vote": percentiles([m.compute_time for _, m in received]),
        name + "cores in use, all processes": {"mean": float(np.mean(load)), "max": max(load), "n": len(load)},
        name + "memory of all processes (MB)": {"mean": float(np.mean(memory)), "max": max(memory), "n": len(memory)},
    }


def frame_delays(frames_s: list[float], received: list[tuple[float, Engagement]]) -> tuple[list[float], int]:
    """For every frame, how long after it the first estimate with it, or a later frame, came."""
    seen = [(moment, newest_face_s(message)) for moment, message in received if newest_face_s(message) is not None]
    delays, missed, position = [], 0, 0
    for frame_s in frames_s:
        while position < len(seen) and seen[position][1] < frame_s - 1e-4:  # type: ignore[operator]
            position += 1
        if position == len(seen):
            missed += 1
        else:
            delays.append(seen[position][0] - frame_s)
    return delays, missed


def newest_face_s(message: Engagement) -> float | None:
    """When the newest picture in an estimate was taken."""
    age = message.modalities[0].age
    return None if age != age else to_ns(message.header.stamp) / NANOSECONDS_PER_SECOND - age


def sampled_every_second(seconds: float, load: list[float], memory: list[float]) -> Iterator[None]:
    """Cores and memory of this process and its children."""
    me = psutil.Process()
    processes = {process.pid: process for process in [me, *me.children(recursive=True)]}
    for process in processes.values():
        process.cpu_percent()
    for _ in range(round(seconds)):
        time.sleep(1)
        load.append(sum(process.cpu_percent() for process in processes.values()) / 100)
        memory.append(sum(process.memory_info().rss for process in processes.values()) / 2**20)
        yield


def record(folder: Path, seconds: float) -> dict[Sensor, str]:
    """A video and a sound file of a simulated person."""
    person, script = simulated_person(SEED, seconds)
    video, sound = folder / "face.avi", folder / "voice.wav"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), CAMERA_HZ, (640, 480))
    with SyntheticCamera(person, script, 0, rate_hz=CAMERA_HZ) as camera:
        for sample in camera:
            writer.write(sample.values)
    writer.release()
    with SyntheticMicrophone(person, script, 0) as microphone, av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for sample in microphone:
            values = (np.clip(sample.values.astype(np.float32), -1, 1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(values[np.newaxis], format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    wristband = f"folder:{WRISTBAND}" if WRISTBAND.is_file() else f"synthetic:{SEED}"
    return {Sensor.CAMERA: f"file:{video}", Sensor.MICROPHONE: f"file:{sound}", Sensor.WRISTBAND: wristband}


if __name__ == "__main__":
    main()
