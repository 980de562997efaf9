"""Pictures of a person, each a little different from the one before: the public-domain astronaut of scikit-image."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from skimage.data import astronaut

SIZE = 256
SWAY = 8
"""Pixels to each side."""


@cache
def _person() -> np.ndarray:
    return cv2.resize(cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR), (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def face_picture(number: int) -> np.ndarray:
    """(256, 256, 3) BGR: the person sways."""
    return np.roll(_person(), abs(number % (4 * SWAY) - 2 * SWAY) - SWAY, axis=1)


def write_video(path: Path, pictures: int, rate_hz: float) -> None:
    """A video file of her."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate_hz, (SIZE, SIZE))
    for number in range(pictures):
        writer.write(face_picture(number))
    writer.release()
