"""A recorded video as a camera."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors.opencv import cv2
from mmal_ros.sensors.source import Source, SourceError, SourceState

NANOSECONDS_PER_MILLISECOND = 1_000_000


class VideoFile(Source):
    """The pictures of a video file, source `camera`, stamped `start_ns` + media time.

    Media time is the container's own time stamp of each picture, not number / rate: telephones and screen recorders
    write variable frame rates, and the sound in the same file follows the container. It counts from the start of the
    video stream; a picture that lies before it (an edit list) counts as 0. Where stamps are missing or do not grow, a
    picture comes one nominal frame after the one before.
    """

    name = "video file"

    def __init__(self, path: Path, start_ns: int) -> None:
        super().__init__()
        self._path = path
        self._start_ns = start_ns
        self._video = cv2.VideoCapture()
        self._lock = threading.Lock()  # OpenCV crashes when one thread releases what another reads
        self._rate_hz = 0.0

    def open(self) -> None:
        """Open the file and decode its first picture, to fail now and not later.

        Raises:
            SourceError: there is no such file, or no video in it that can be decoded.
        """
        if not self._path.is_file():
            what = "is a folder" if self._path.is_dir() else "does not exist"
            raise SourceError(f"video '{self._path}' {what}; expected a video file")
        size = self._path.stat().st_size
        if size == 0:
            raise SourceError(f"video '{self._path}' is empty (0 bytes): was the recording or the copy stopped?")
        if not self._video.open(str(self._path), cv2.CAP_FFMPEG):
            raise SourceError(
                f"video '{self._path}' ({size} bytes) holds no video that FFmpeg knows; ffprobe tells what it is"
            )
        if not self._video.grab():
            raise SourceError(f"video '{self._path}' ({size} bytes) has no picture that can be decoded: is it cut off?")
        self._rate_hz = max(float(self._video.get(cv2.CAP_PROP_FPS)), 0.0)
        self._update(state=SourceState.STREAMING)

    def __iter__(self) -> Iterator[Sample]:
        media_ns = -1
        while True:
            with self._lock:
                if not self._video.isOpened():
                    break
                decoded, image = self._video.retrieve()
                media_ns = self._media_time(media_ns)
                more = self._video.grab()
            if decoded:
                self._update(count="received")
                yield Sample("camera", self._start_ns + media_ns, image, self._rate_hz)
            if not more:
                break
        self.close()

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._video.release()
        self._update(state=SourceState.ENDED)

    def _media_time(self, last_ns: int) -> int:
        """Nanoseconds of the picture that was grabbed, later than the last (-1: there was none)."""
        media_ns = max(round(self._video.get(cv2.CAP_PROP_POS_MSEC) * NANOSECONDS_PER_MILLISECOND), 0)
        if media_ns > last_ns:
            return media_ns
        return last_ns + round(NANOSECONDS_PER_SECOND / (self._rate_hz or 25.0))
