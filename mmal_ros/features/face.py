"""FACE: an image -> the 257 numbers of `names.FACE`, under OpenFace 2's names, measured with MediaPipe's mesh.

The same names do not make the same instrument: the set is called `mediapipe-face`, not `openface-2`. Units, axes and
signs are OpenFace's; action units are geometric proxies (`action_units`), gaze is geometric (`gaze`), distances assume
a lens (`head_pose.Lens.assumed`) and an adult's head. Of several faces the largest is measured (`face_mesh`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FeatureFrame, FloatArray, Modality
from mmal_ros.features.action_units import CALIBRATION_S, NeutralFace, presences
from mmal_ros.features.face_landmarks import DoubleArray, Similarity, head_in_image, landmarks_68
from mmal_ros.features.face_mesh import FaceMesh
from mmal_ros.features.gaze import gaze_directions
from mmal_ros.features.head_pose import HeadPose, Lens, euler_angles, landmarks_in_camera, solve_head_pose
from mmal_ros.features.names import FACE

FEATURE_SET = "mediapipe-face"
TRUSTED_OFF_AXIS = math.radians(30)
"""A face turned less than this from the camera is trusted fully; from there confidence falls to 0 in profile."""
UNCALIBRATED = 0.5
"""Factor on the confidence while the neutral face is being learnt and action units are 0."""


class FaceExtractor:
    """Faces of a video, image after image.

    The neutral face is learnt once per person and outlives `reset`: a camera that stalls does not change the person.
    """

    def __init__(self, calibration_s: float = CALIBRATION_S, focal_lengths: float = 1.0) -> None:
        self._mesh = FaceMesh()
        self._calibration_s = calibration_s
        self._neutral = NeutralFace(calibration_s)
        self._focal_lengths = focal_lengths

    def extract(self, stamp_ns: int, image: NDArray[np.uint8]) -> FeatureFrame:
        """FACE of an (H, W, 3) RGB image; not `valid` when there is no face."""
        height, width = image.shape[:2]
        lens = Lens.assumed(width, height, self._focal_lengths)
        mesh = self._mesh.find(image)
        pose = None if mesh is None else solve_head_pose(landmarks_68(mesh), lens)
        if mesh is None or pose is None:
            return _frame(stamp_ns, np.zeros(len(FACE)), valid=False, confidence=0.0)
        head = head_in_image(landmarks_68(mesh))
        face = head.invert(mesh)
        self._neutral.learn(stamp_ns, face, pose.off_axis)
        intensities = self._neutral.intensities(face)
        values = np.concatenate([_geometry(mesh, head, pose, lens), intensities, presences(intensities)])
        return _frame(stamp_ns, values, valid=True, confidence=self._confidence(pose))

    def reset(self) -> None:
        """Forget where the face was; the neutral face stays."""
        self._mesh.reset()

    def forget_person(self) -> None:
        """Learn another's neutral face."""
        self._neutral = NeutralFace(self._calibration_s)

    def close(self) -> None:
        """Release MediaPipe's graph."""
        self._mesh.close()

    def _confidence(self, pose: HeadPose) -> float:
        turned = (pose.off_axis - TRUSTED_OFF_AXIS) / (math.pi / 2 - TRUSTED_OFF_AXIS)
        return float(np.clip(1 - turned, 0, 1)) * (1.0 if self._neutral.is_known else UNCALIBRATED)


def _geometry(mesh: DoubleArray, head: Similarity, pose: HeadPose, lens: Lens) -> DoubleArray:
    """(222,) in the order of `names.FACE`: gaze, head position and rotation, landmarks, rigid shape."""
    landmarks = landmarks_68(mesh)
    parts = (
        gaze_directions(mesh, head, pose.rotation).ravel(),
        pose.position,
        pose.angles,
        landmarks_in_camera(landmarks, head, pose, lens).T.ravel(),  # all X, then all Y, then all Z
        [head.scale],
        euler_angles(head.rotation),
        landmarks[:, :2].mean(axis=0),
    )
    return np.concatenate(parts)


def _frame(stamp_ns: int, values: DoubleArray, *, valid: bool, confidence: float) -> FeatureFrame:
    numbers: FloatArray = values.astype(np.float32)
    return FeatureFrame(Modality.FACE, stamp_ns, numbers, valid, confidence, FEATURE_SET)
