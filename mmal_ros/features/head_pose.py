"""Where a head is and how it is turned, in millimetres and radians, from 68 landmarks in an image.

Camera coordinates as in OpenFace 2: x to the right of the image, y down, z away from the camera. A rotation is
R = Rx(pitch) Ry(yaw) Rz(roll), right-handed: positive pitch looks down, positive yaw turns the nose to the left of the
image, positive roll tilts the head clockwise in the image. (Checked against a file that OpenFace wrote: turning its
landmarks back by its angles gives a frontal face.)
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mmal_ros.features.face_landmarks import HEAD_SHAPE, RIGID, DoubleArray, Similarity


@dataclass(frozen=True, slots=True)
class Lens:
    """A camera without distortion that looks through the middle of its image."""

    focal_px: float
    centre_x: float
    centre_y: float

    @staticmethod
    def assumed(width: int, height: int, focal_lengths: float = 1.0) -> Lens:
        """A lens as most web cameras have it.

        Args:
            width: of the image, px.
            height: of the image, px.
            focal_lengths: focal length in image widths. 1.0 is a horizontal view of 53 degrees; with another camera
                distances come out wrong by the ratio, angles hardly.
        """
        return Lens(focal_lengths * width, width / 2, height / 2)

    @property
    def matrix(self) -> DoubleArray:
        """(3, 3) as OpenCV wants it."""
        return np.array([[self.focal_px, 0, self.centre_x], [0, self.focal_px, self.centre_y], [0, 0, 1]])


@dataclass(frozen=True, slots=True, eq=False)
class HeadPose:
    """Rigid position of a head before the camera."""

    position: DoubleArray
    """(3,) mm: the middle of the 68 landmarks."""
    rotation: DoubleArray
    """(3, 3) head -> camera."""

    @property
    def angles(self) -> DoubleArray:
        """(3,) rad: pitch, yaw, roll."""
        return euler_angles(self.rotation)

    @property
    def off_axis(self) -> float:
        """Radians between where the head points and the camera, 0 to pi."""
        to_camera = -self.position / np.linalg.norm(self.position)
        return float(np.arccos(np.clip(-self.rotation[:, 2] @ to_camera, -1, 1)))


def euler_angles(rotation: DoubleArray) -> DoubleArray:
    """(3,) rad: pitch, yaw, roll of R = Rx Ry Rz. Written out: SciPy takes half a millisecond for it."""
    yaw = np.arcsin(np.clip(rotation[0, 2], -1, 1))
    return np.array([np.arctan2(-rotation[1, 2], rotation[2, 2]), yaw, np.arctan2(-rotation[0, 1], rotation[0, 0])])


def solve_head_pose(landmarks: DoubleArray, lens: Lens) -> HeadPose | None:
    """Perspective pose of the mean head from the rigid ones of (68, >= 2) landmarks in px; None: there is none.

    SQPnP (Terzakis and Lourakis, ECCV 2020): no start value, so a frame's pose does not depend on the last one's.
    """
    rigid = list(RIGID)
    image_points = np.ascontiguousarray(landmarks[rigid, :2])
    found, turn, position = cv2.solvePnP(HEAD_SHAPE[rigid], image_points, lens.matrix, None, flags=cv2.SOLVEPNP_SQPNP)
    if not found or position[2, 0] <= 0:
        return None
    return HeadPose(position[:, 0], cv2.Rodrigues(turn)[0])


def landmarks_in_camera(landmarks: DoubleArray, head: Similarity, pose: HeadPose, lens: Lens) -> DoubleArray:
    """(68, 3) mm: every landmark on its ray through the image, as deep as the mesh says it is against the head."""
    depth = pose.position[2] + (landmarks[:, 2] - landmarks[:, 2].mean()) / head.scale
    x = (landmarks[:, 0] - lens.centre_x) / lens.focal_px * depth
    y = (landmarks[:, 1] - lens.centre_y) / lens.focal_px * depth
    return np.stack([x, y, depth], axis=1)
