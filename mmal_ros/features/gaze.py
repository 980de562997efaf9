"""Where the eyes look, from the irises of MediaPipe's mesh.

An eye is a ball that turns in its socket: the iris stands off the middle between the corners of the eye by the sine of
the angle. Good for left, right, up and down against the head; not an eye tracker (several degrees of error, and a
half-closed eye pulls the iris down).
"""

from __future__ import annotations

import numpy as np

from mmal_ros.features.face_landmarks import DoubleArray, Similarity

IRIS = (468, 473)
"""Mesh points: centre of the right and of the left iris."""
CORNERS = ((33, 133), (263, 362))
"""Mesh points: outer and inner corner of the right and of the left eye."""
EYE_RADIUS_MM = 12.0
"""Of an adult's eyeball; a child of five has 11 mm (Bekerman et al., Journal of Ophthalmology, 2014)."""
IRIS_REST_MM = np.array([[-1.0, -1.0], [1.0, -1.0]])
"""(eye, x and y): where the iris stands against the corners when somebody looks into the camera: outwards and up, the
mean of ten adults (see `face_landmarks.HEAD_SHAPE`)."""


def gaze_directions(mesh: DoubleArray, head: Similarity, rotation: DoubleArray) -> DoubleArray:
    """(2, 3) unit vectors in camera coordinates, right eye first; (0, 0, -1) looks into a camera straight ahead.

    Args:
        mesh: (478, 3) px.
        head: how the head lies in the image; takes the mesh back to head coordinates.
        rotation: (3, 3) head -> camera.
    """
    points = head.invert(mesh[[*IRIS, *CORNERS[0], *CORNERS[1]]])
    corners = np.stack([points[2:4].mean(axis=0), points[4:6].mean(axis=0)])
    sines = np.clip(((points[:2] - corners)[:, :2] - IRIS_REST_MM) / EYE_RADIUS_MM, -1, 1)
    forward = -np.sqrt(np.maximum(1 - (sines**2).sum(axis=1, keepdims=True), 0))
    directions = np.concatenate([sines, forward], axis=1)
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True) @ rotation.T)
