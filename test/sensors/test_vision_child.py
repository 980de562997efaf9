"""The process that sees, from outside: which pictures leave it, and that it does not live on with broken graphs."""

from __future__ import annotations

import multiprocessing
import time

import numpy as np

from mmal_ros.datatypes import FeatureFrame, Sample
from mmal_ros.sensors.specs import Sensor, parse_spec
from mmal_ros.vision_child import VisionSettings, _Outlet
from mmal_ros.vision_process import VisionProcess

NOW_NS = 1_795_168_800_000_000_000
ROBOT = parse_spec(Sensor.CAMERA, "topic:/camera")
PATIENCE_S = 60


def picture(stamp_ns: int, channels: int = 3) -> Sample:
    return Sample("camera", stamp_ns, np.zeros((48, 64, channels), np.uint8), 30.0)


def test_pictures_go_on_leaving_when_the_clock_is_set() -> None:
    ours, theirs = multiprocessing.Pipe()
    outlet = _Outlet(theirs, VisionSettings(ROBOT, image_rate_hz=10.0))
    offsets_s = [0.0, 0.05, 0.1, -3600.0, -3599.95, -3599.9, 1e9, 0.0]
    for offset_s in offsets_s:
        outlet.send_image(picture(NOW_NS + round(offset_s * 1e9)))
    theirs.close()
    left = []
    try:
        while True:
            left.append((ours.recv()[1][0] - NOW_NS) / 1e9)
    except EOFError:
        ours.close()
    assert left == [0.0, 0.1, -3600.0, -3599.9, 1e9, 0.0]


def test_a_process_whose_graphs_fail_gives_way_to_another() -> None:
    """MediaPipe's graphs fail for good at an error; here at a picture of four colours."""
    frames: list[FeatureFrame] = []
    vision = VisionProcess(VisionSettings(ROBOT), frames.append)
    vision.prepare()
    try:
        vision.start(0)
        first, deadline_s = vision.pid, time.monotonic() + PATIENCE_S
        while vision.pid == first and time.monotonic() < deadline_s:
            vision.feed(picture(time.time_ns(), channels=4))
            time.sleep(0.1)
        assert vision.pid != first
        while not frames and time.monotonic() < deadline_s:
            vision.feed(picture(time.time_ns()))
            time.sleep(0.1)
        assert frames
        assert vision.status.reconnects == 1
    finally:
        vision.stop()
