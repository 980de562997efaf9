"""From several channels at the rate of a device to mono at the rate of the features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray
from mmal_ros.sensors.source import SourceError

try:
    import av
except ImportError as missing:
    raise SourceError(
        "sound files and other rates need the Python package av: pip install 'mmal_ros[robot]'"
    ) from missing


class MonoResampler:
    """Averages the channels of one stream of sound and brings it to another rate, without a seam between blocks.

    The output is not shifted against the input, but its last values (about 1 ms) wait for the next block: the filter
    (FFmpeg's libswresample) looks that far ahead.
    """

    def __init__(self, rate_hz: int) -> None:
        # With all its channels: libswresample's own mix to mono weighs and scales them by loudspeaker. Interleaved:
        # PyAV reads beyond its array of planes where there are more than eight.
        self._resampler = av.AudioResampler(format="flt", rate=rate_hz)

    def process(self, frame: av.AudioFrame | None) -> FloatArray:
        """The values, (n,), -1 to 1, that `frame` makes known; None: the sound is over, give out what is left."""
        blocks = [
            block.to_ndarray().reshape(block.samples, -1).mean(axis=1, dtype=np.float32)
            for block in self._resampler.resample(frame)
        ]
        if not blocks:
            return np.zeros(0, np.float32)
        values: FloatArray = np.concatenate(blocks)
        return values.clip(-1, 1)  # the filter overshoots where the recording was clipped


class ChannelMixdown:
    """Turns blocks of interleaved int16 channels into mono; by default those of NAO's `/audio`.

    NAO: 4 microphones at 48 kHz, blocks of 170 ms (naoqi_bridge_msgs/AudioBuffer).
    """

    def __init__(self, channels: int = 4, from_hz: int = 48_000, to_hz: int = 16_000) -> None:
        self._channels = channels
        self._from_hz = from_hz
        self._resampler = MonoResampler(to_hz)

    def process(self, interleaved: NDArray[np.int16]) -> FloatArray:
        """Mono values, -1 to 1, from (frames x channels,) interleaved ones.

        Raises:
            ValueError: the block does not hold the same number of values for each channel.
        """
        if len(interleaved) % self._channels:
            raise ValueError(
                f"a block of {len(interleaved)} values cannot be {self._channels} interleaved channels: "
                "does the device send another number of channels?"
            )
        mono: FloatArray = interleaved.reshape(-1, self._channels).mean(axis=1, dtype=np.float32) / 32768
        if not len(mono):
            return mono
        frame = av.AudioFrame.from_ndarray(mono[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = self._from_hz
        return self._resampler.process(frame)
