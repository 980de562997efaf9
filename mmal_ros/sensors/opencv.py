"""The one import of OpenCV in this layer, quiet, and with the remedy when it fails."""

import os

from mmal_ros.sensors.source import SourceError

# The sources say in their status what is wrong, once; FFmpeg and OpenCV would repeat it on stderr at every attempt.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when the first video is opened

try:
    import cv2
except ImportError as error:
    raise SourceError(
        f"video needs OpenCV, which cannot be loaded ({error}): pip install opencv-contrib-python-headless==4.11.0.86, "
        "or apt install libgl1 libglib2.0-0 for the wheel that comes with MediaPipe"
    ) from error

cv2.setLogLevel(0)  # silent

__all__ = ["cv2"]
