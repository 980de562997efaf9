"""Pictures of other ROS nodes as the BGR arrays that the core uses."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from mmal_ros.datatypes import Sample
from mmal_ros.nodes.conversions import to_ns

CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1, "yuv422": 2, "yuv422_yuy2": 2}
"""Bytes per pixel of the encodings that are understood (sensor_msgs/image_encodings.hpp)."""
PAIRED = 2
"""Where a pixel has two bytes, two neighbours share their colour."""
TO_BGR = {
    "rgb8": cv2.COLOR_RGB2BGR,
    "mono8": cv2.COLOR_GRAY2BGR,
    "yuv422": cv2.COLOR_YUV2BGR_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUY2,
}


class ImageError(ValueError):
    """A picture that cannot be decoded."""


def image_to_sample(message: Image) -> Sample:
    """A `camera` sample, stamped as the message is; raises ImageError."""
    return Sample("camera", to_ns(message.header.stamp), decode(message), rate_hz=0)


def decode(message: Image) -> NDArray[np.uint8]:
    """The picture as (H, W, 3) uint8 BGR; raises ImageError."""
    channels = CHANNELS.get(message.encoding)
    if channels is None:
        raise ImageError(f"encoding '{message.encoding}' is not understood; possible: {', '.join(CHANNELS)}")
    rows = _rows(message, channels)
    pixels = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
    conversion = TO_BGR.get(message.encoding)
    result: NDArray[np.uint8] = pixels.copy() if conversion is None else cv2.cvtColor(pixels, conversion)
    return result


def _rows(message: Image, channels: int) -> NDArray[np.uint8]:
    """(H, step) bytes: rows may be padded."""
    data: NDArray[Any] = np.frombuffer(message.data, np.uint8)
    fits = 0 < message.width * channels <= message.step and message.height * message.step == len(data) > 0
    if not fits or (channels == PAIRED and message.width % 2):
        raise ImageError(
            f"{message.width} x {message.height} pixels of '{message.encoding}' in rows of {message.step} bytes "
            f"do not fit {len(data)} bytes"
        )
    return data.reshape(message.height, message.step)
