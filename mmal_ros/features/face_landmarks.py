"""The 68 landmarks of FACE: where MediaPipe's mesh has them, what a head looks like, and how to fit one to the other.

Head coordinates are those of OpenFace's shape model: millimetres, origin in the middle of the 68 points, x to the
left of the person (the right of the image), y down, z away from the camera that the person faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

DoubleArray = NDArray[np.float64]

# fmt: off
MESH_OF_LANDMARK = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,  # jaw, right ear to left ear
    70, 63, 105, 66, 107,  # right brow, from outside
    336, 296, 334, 293, 300,  # left brow, from inside
    168, 197, 5, 4,  # bridge of the nose, down to the tip
    98, 97, 2, 326, 327,  # nostrils
    33, 160, 158, 133, 153, 144,  # right eye, clockwise from the outer corner
    362, 385, 387, 263, 373, 380,  # left eye, clockwise from the inner corner
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # outer lips, clockwise from the right corner
    78, 81, 13, 311, 308, 402, 14, 178,  # inner lips
)
"""Index into the 478 points of MediaPipe's face mesh, for each of the 68 points of the iBUG scheme (Sagonas et al.,
300 Faces in-the-Wild, 2013), right and left mirrored. Right is the person's right. The jaw differs: the mesh ends
where the face turns away, and does not follow the contour in the image as OpenFace does."""
RIGID = (0, 1, 15, 16, *range(27, 36), 36, 39, 42, 45)
"""Landmarks that no expression moves: ears, nose, corners of the eyes."""
HEAD_SHAPE: DoubleArray = np.array((
    (-68.7, -26.0, 57.4), (-68.2, -10.3, 59.7), (-67.2, 5.0, 57.9), (-60.5, 37.0, 44.9), (-54.1, 49.0, 33.1),
    (-47.1, 57.3, 21.2), (-30.6, 70.0, 3.7), (-12.7, 77.5, -9.7), (0, 78.6, -11.7), (12.7, 77.5, -9.7),
    (30.6, 70.0, 3.7), (47.1, 57.3, 21.2), (54.1, 49.0, 33.1), (60.5, 37.0, 44.9), (67.2, 5.0, 57.9),
    (68.2, -10.3, 59.7), (68.7, -26.0, 57.4),
    (-57.1, -54.4, 12.3), (-51.4, -61.5, 5.0), (-42.1, -65.7, -1.1), (-29.7, -66.0, -7.1), (-15.3, -64.8, -10.3),
    (15.3, -64.8, -10.3), (29.7, -66.0, -7.1), (42.1, -65.7, -1.1), (51.4, -61.5, 5.0), (57.1, -54.4, 12.3),
    (0, -47.0, -12.0), (0, -33.2, -23.6), (0, -20.6, -36.8), (0, -12.0, -40.5),
    (-18.6, 2.7, -16.6), (-8.5, 3.9, -23.3), (0, 4.1, -25.0), (8.5, 3.9, -23.3), (18.6, 2.7, -16.6),
    (-45.0, -39.0, 9.2), (-38.6, -43.4, 3.0), (-28.1, -44.4, 1.3), (-17.1, -38.4, 3.8), (-26.8, -36.9, 1.5),
    (-37.0, -36.4, 3.2),
    (17.1, -38.4, 3.8), (28.1, -44.4, 1.3), (38.6, -43.4, 3.0), (45.0, -39.0, 9.2), (37.0, -36.4, 3.2),
    (26.8, -36.9, 1.5),
    (-26.9, 28.9, -5.8), (-21.1, 23.1, -16.6), (-8.3, 17.8, -25.4), (0, 19.1, -26.4), (8.3, 17.8, -25.4),
    (21.1, 23.1, -16.6), (26.9, 28.9, -5.8), (21.1, 36.8, -14.9), (8.5, 43.7, -22.6), (0, 44.5, -23.3),
    (-8.5, 43.7, -22.6), (-21.1, 36.8, -14.9),
    (-24.5, 28.8, -7.6), (-12.7, 25.7, -18.1), (0, 25.8, -21.8), (12.7, 25.7, -18.1), (24.5, 28.8, -7.6),
    (12.5, 33.1, -17.1), (0, 34.4, -20.7), (-12.5, 33.1, -17.1),
))
"""(68, 3) mm, a mean head: MediaPipe's own mesh over frontal images of ten adults (the clips of ../shared/data and
scikit-image's astronaut), aligned, averaged, mirrored, scaled to 90 mm between the outer corners of the eyes. Rotated
so that pitch 0 is where OpenFace 2 has it (best fit to the rigid points of a file that OpenFace wrote), which is about
0.2 rad above the natural pose of a head. A child's head is smaller: her distances come out too large by that ratio."""
# fmt: on


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: DoubleArray
    """(3, 3)"""
    translation: DoubleArray
    """(3,)"""

    def apply(self, points: DoubleArray) -> DoubleArray:
        """(n, 3) points where the similarity brings them."""
        return self.scale * points @ self.rotation.T + self.translation

    def invert(self, points: DoubleArray) -> DoubleArray:
        """(n, 3) points where they came from."""
        return (points - self.translation) @ self.rotation / self.scale


def fit_similarity(points: DoubleArray, target: DoubleArray) -> Similarity:
    """The similarity that brings (n, 3) points nearest to (n, 3) targets (least squares: Umeyama, PAMI 1991)."""
    transform, scale = cv2.estimateAffine3D(points, target, force_rotation=True)
    return Similarity(float(scale), transform[:, :3], transform[:, 3])


def landmarks_68(mesh: DoubleArray) -> DoubleArray:
    """(68, 3) of a mesh (478, 3), in its unit."""
    return mesh[list(MESH_OF_LANDMARK)]


def head_in_image(landmarks: DoubleArray) -> Similarity:
    """How the mean head (mm) lies in the image (px, z too): a camera infinitely far away (weak perspective)."""
    rigid = list(RIGID)
    return fit_similarity(HEAD_SHAPE[rigid], landmarks[rigid])
