"""What a NAO hears (naoqi_bridge_msgs/AudioBuffer) as the mono samples that the core uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.nodes.conversions import to_ns
from mmal_ros.sensors.device_clock import DeviceClock
from mmal_ros.sensors.resample import ChannelMixdown

RATE_HZ = 16_000
NAO_CHANNELS = 4
RATES_HZ = range(4_000, 400_000)
"""What a microphone may have; NAO has 48,000."""


class NaoAudio:
    """Mixes, resamples and stamps the buffers of one stream.

    A buffer's stamp is its arrival, with all the jitter of the network; the samples' own count is the better clock.
    """

    def __init__(self) -> None:
        self._format: tuple[int, int] = (0, 0)
        self._given = 0
        self._clock = DeviceClock()

    def convert(self, message: Any) -> Sample | None:
        """A `microphone` sample, or None while the resampler fills up; raises ValueError for a broken buffer."""
        if message.frequency not in RATES_HZ:
            raise ValueError(f"sound of {message.frequency} values a second is none; NAO sends 48000")
        channels = len(message.channelMap) or NAO_CHANNELS
        if (message.frequency, channels) != self._format:
            self._format = (message.frequency, channels)
            self._mixdown = ChannelMixdown(channels, message.frequency, RATE_HZ)
            self._given, self._clock = 0, DeviceClock()
        values = self._mixdown.process(np.asarray(message.data, np.int16))
        if not len(values):
            return None
        self._given += len(values)
        end_ns = self._clock.to_host(_nanoseconds(self._given - 1), to_ns(message.header.stamp))
        return Sample("microphone", end_ns - _nanoseconds(len(values) - 1), values, RATE_HZ)


def _nanoseconds(values: int) -> int:
    return values * NANOSECONDS_PER_SECOND // RATE_HZ
