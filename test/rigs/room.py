"""A child's room without hardware: a robot's camera topic, a sound server with a voice, an E4 streaming server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import cv2
import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from skimage import data

from mmal_ros.nodes.conversions import to_time
from mmal_ros.nodes.topics import camera_topic
from rigs.e4_server import DEVICE, E4Server
from rigs.ros import Participant
from rigs.sound import SoundServer

CAMERA = "/camera/front/image_raw"
CAMERA_RATE_HZ = 10.0
NOISE_S = 900


@contextmanager
def room(ros: Participant, camera_rate_hz: float = CAMERA_RATE_HZ) -> Iterator[dict[str, str]]:
    """The SPECs of what is there."""
    noise = (np.random.default_rng(0).normal(size=16_000 * NOISE_S) * 1000).astype(np.int16)
    with SoundServer() as sound, E4Server() as band, pictures(ros, camera_rate_hz):
        player = sound.play(noise)
        try:
            yield {
                "camera": f"topic:{CAMERA}",
                "microphone": "device:default",
                "wristband": f"server:127.0.0.1:{band.port}/{DEVICE}",
            }
        finally:
            player.kill()
            player.wait()


@contextmanager
def pictures(ros: Participant, rate_hz: float) -> Iterator[None]:
    """A robot's camera sees somebody."""
    topic = camera_topic(CAMERA)
    publisher = ros.node.create_publisher(topic.type, topic.name, topic.qos)
    stop = threading.Event()
    thread = threading.Thread(target=_film, args=(publisher, picture(), rate_hz, stop), name="film")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        ros.node.destroy_publisher(publisher)


def picture() -> Image:
    """A face and shoulders, as small as NAO's pictures."""
    seen = np.ascontiguousarray(cv2.resize(data.astronaut(), (320, 320))[:240])
    message = Image(height=240, width=320, encoding="rgb8", step=960)
    message.data.frombytes(seen.tobytes())  # the setter would look at every byte
    return message


def _film(publisher: Publisher, message: Image, rate_hz: float, stop: threading.Event) -> None:
    next_s = time.monotonic()
    while not stop.is_set():
        message.header.stamp = to_time(time.time_ns())
        with suppress(Exception):  # the last picture of a session may find the topic closed
            publisher.publish(message)
        next_s = max(next_s + 1 / rate_hz, time.monotonic() - 1)
        stop.wait(max(0.0, next_s - time.monotonic()))
