"""A camera that films a synthetic person."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors.source import Source, SourceState
from mmal_ros.sensors.synthetic.behaviour import Wander, generator_for
from mmal_ros.sensors.synthetic.person import EngagementScript, Person
from mmal_ros.sensors.synthetic.portrait import Image, Portrait
from mmal_ros.sensors.synthetic.posture import Poser

NOISE_LEVELS = 7
"""The sensor's noise is uniform over so many grey levels: no two pictures are the same."""
NOISE_MARGIN_PX = 64


class SyntheticCamera(Source):
    """Films `person` following `script` until it ends.

    Args:
        person: who is seen.
        script: how engaged she is when.
        start_ns: stamp of the first picture.
        rate_hz: pictures per second.
        size: width and height in pixels.
    """

    name = "camera"

    def __init__(
        self,
        person: Person,
        script: EngagementScript,
        start_ns: int,
        rate_hz: float = 30.0,
        size: tuple[int, int] = (640, 480),
    ) -> None:
        super().__init__()
        self._person = person
        self._script = script
        self._start_ns = start_ns
        self._rate_hz = rate_hz
        self._size = size
        self._closed = False

    def open(self) -> None:
        """Nothing to open: the picture is made when it is asked for."""

    def close(self) -> None:
        """End the iteration."""
        self._closed = True

    def __iter__(self) -> Iterator[Sample]:
        poser = Poser(self._person, self._script)
        portrait = Portrait(self._person, self._size)
        generator = generator_for(self._person, self._script, "camera")
        light = Wander(generator, channels=1, period_s=(5, 60))
        width, height = self._size
        noise = generator.integers(
            NOISE_LEVELS, size=(height + NOISE_MARGIN_PX, width + NOISE_MARGIN_PX, 3), dtype=np.uint8
        )
        for index in range(round(self._script.duration_s * self._rate_hz)):
            if self._closed:
                break
            time_s = index / self._rate_hz
            clean = portrait.draw(poser.posture_at(time_s))
            top, left = generator.integers(NOISE_MARGIN_PX, size=2)
            gain = self._person.brightness + 0.04 * float(light.at(time_s)[0])
            picture: Image = cv2.addWeighted(
                clean, gain, noise[top : top + height, left : left + width], 1, -(NOISE_LEVELS // 2)
            )
            self._update(count="received", state=SourceState.STREAMING)
            stamp_ns = self._start_ns + round(index * NANOSECONDS_PER_SECOND / self._rate_hz)
            yield Sample("camera", stamp_ns, picture, self._rate_hz)
        self._update(state=SourceState.ENDED)
