"""One connection to a camera, read by a thread of its own, because a read may hang for as long as the driver likes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmal_ros.sensors.backlog import Backlog
from mmal_ros.sensors.opencv import cv2
from mmal_ros.sensors.source import Clock

USUAL_RATE_HZ = 30.0
"""Assumed of a camera that does not say."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded image and when it arrived."""

    stamp_ns: int
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What is asked of OpenCV."""

    target: int | str
    """Index of a local camera, or an address."""
    width: int | None
    height: int | None
    rate_hz: float | None
    open_timeout_ms: int
    read_timeout_ms: int


class Capture:
    """Keeps the newest picture of one connection; ends by itself when the connection does, and is then thrown away."""

    def __init__(self, settings: CaptureSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._newest: Picture | None = None
        self._dropped = 0
        self._changed = threading.Condition()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._read, name="camera capture", daemon=True)
        self.opened = False
        """Whether the camera answered."""
        self.rate_hz = 0.0
        """What the camera says of itself; 0: nothing."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """False once the connection is over and the device free again."""
        return self._thread.is_alive()

    def wait(self, timeout_s: float) -> tuple[Picture | None, int]:
        """The newest picture since the last call, None if there is none in time, and how many were dropped."""
        with self._changed:
            if self._newest is None and self.is_alive:
                self._changed.wait(timeout_s)
            picture, dropped = self._newest, self._dropped
            self._newest, self._dropped = None, 0
        return picture, dropped

    def abandon(self, wait_s: float) -> None:
        """Ask the thread to end; a thread that hangs in the driver releases the device whenever it returns."""
        self._abandoned.set()
        self._thread.join(wait_s)

    def _read(self) -> None:
        video = _open(self._settings)
        try:
            self.opened = video.isOpened()
            self.rate_hz = self._settings.rate_hz or float(video.get(cv2.CAP_PROP_FPS))
            self._keep_newest(video)
        finally:
            video.release()
            with self._changed:
                self._changed.notify_all()

    def _keep_newest(self, video: cv2.VideoCapture) -> None:
        backlog = Backlog(self.rate_hz or USUAL_RATE_HZ)
        while not self._abandoned.is_set() and video.grab():
            stamp_ns = self._clock()
            if backlog.is_stale(time.monotonic()):
                with self._changed:
                    self._dropped += 1
                continue
            decoded, image = video.retrieve()
            if decoded:
                self._put(Picture(stamp_ns, image))

    def _put(self, picture: Picture) -> None:
        with self._changed:
            self._dropped += self._newest is not None
            self._newest = picture
            self._changed.notify_all()


def _open(settings: CaptureSettings) -> cv2.VideoCapture:
    """Only FFmpeg knows the time-outs; a local camera may hang, which is why nobody waits for this thread."""
    if isinstance(settings.target, str):
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, settings.open_timeout_ms]
        timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, settings.read_timeout_ms]
        return cv2.VideoCapture(settings.target, cv2.CAP_FFMPEG, timeouts)
    video = cv2.VideoCapture(settings.target)
    wishes = {
        cv2.CAP_PROP_FRAME_WIDTH: settings.width,
        cv2.CAP_PROP_FRAME_HEIGHT: settings.height,
        cv2.CAP_PROP_FPS: settings.rate_hz,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }
    for wish, value in wishes.items():
        if value is not None:
            video.set(wish, value)
    return video
