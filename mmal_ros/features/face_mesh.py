"""MediaPipe's face mesh: an image in, the 478 points of one face out.

Its models see faces within about two metres: one that is narrower than a sixth of the image is mostly not found.
About seven lines of its logging on stderr at the start are normal and cannot be turned off from Python.
"""

from __future__ import annotations

from typing import Any

import mediapipe
import numpy as np
from numpy.typing import NDArray

from mmal_ros.features.face_landmarks import DoubleArray

MOST_FACES = 3
"""Child, therapist, parent. Looking for more than one costs 1.5 ms an image (the detector never rests)."""
FOLLOW = 0.7
"""The face that was chosen in the last image stays chosen while its area is this share of the largest face's: two
heads of like size must not alternate."""


class FaceMesh:
    """Follows faces through a video. Its results depend on the images and their order only, not on time."""

    def __init__(self) -> None:
        # Without `refine_landmarks` there are no irises.
        self._graph = mediapipe.solutions.face_mesh.FaceMesh(max_num_faces=MOST_FACES, refine_landmarks=True)
        self._followed: DoubleArray | None = None

    def find(self, image: NDArray[np.uint8]) -> DoubleArray | None:
        """The largest face in an RGB image, or the one that was the largest before (`FOLLOW`).

        Returns:
            (478, 3) px: x, y (down), depth (away from the camera, 0 near the middle of the head); None: no face.
        """
        height, width = image.shape[:2]
        found = self._graph.process(image).multi_face_landmarks or []
        # Depth is in units of the image's width, as x is.
        faces = [_points(face) * (width, height, width) for face in found]
        self._followed = choose_face(faces, self._followed)
        return self._followed

    def reset(self) -> None:
        """Forget where faces were."""
        self._graph.reset()
        self._followed = None

    def close(self) -> None:
        """Release the graph."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None


def choose_face(faces: list[DoubleArray], followed: DoubleArray | None) -> DoubleArray | None:
    """The largest of (n, >= 2) faces, unless the one that was followed is there and nearly as large."""
    if not faces:
        return None
    largest = max(faces, key=_area)
    if followed is None:
        return largest
    middle = followed[:, :2].mean(axis=0)
    nearest = min(faces, key=lambda face: float(np.hypot(*(face[:, :2].mean(axis=0) - middle))))
    return nearest if _area(nearest) >= FOLLOW * _area(largest) else largest


def _points(face: Any) -> DoubleArray:
    return np.array([(point.x, point.y, point.z) for point in face.landmark])


def _area(face: DoubleArray) -> float:
    return float(np.prod(np.ptp(face[:, :2], axis=0)))
