"""BODY: an image -> the 70 numbers of `names.BODY`, with MediaPipe's pose instead of OpenPose.

MediaPipe follows one person, the one it found first. Joints a little outside the image are guessed by it and keep the
visibility it gives them: a talking head still has shoulders.
"""

from __future__ import annotations

import mediapipe
import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FeatureFrame, FloatArray, Modality
from mmal_ros.features.body_geometry import LEFT_SHOULDER, NECK, NOSE, RIGHT_SHOULDER, body_features, is_body_visible
from mmal_ros.features.names import BODY, JOINTS

FEATURE_SET = "mediapipe-pose"
POINT_OF_JOINT = {
    "nose": 0,
    "right_shoulder": 12,
    "right_elbow": 14,
    "right_wrist": 16,
    "left_shoulder": 11,
    "left_elbow": 13,
    "left_wrist": 15,
    "right_hip": 24,
    "right_knee": 26,
    "right_ankle": 28,
    "left_hip": 23,
    "left_knee": 25,
    "left_ankle": 27,
    "right_eye": 5,
    "left_eye": 2,
    "right_ear": 8,
    "left_ear": 7,
}
"""Index into MediaPipe's 33 points; the neck is not among them."""
MODEL_COMPLEXITY = 1
"""The wheel brings this model; 0 and 2 would be downloaded."""


class BodyExtractor:
    """The body in a video, image after image; depends on the images and their order only, not on time."""

    def __init__(self) -> None:
        self._graph = mediapipe.solutions.pose.Pose(model_complexity=MODEL_COMPLEXITY)

    def extract(self, stamp_ns: int, image: NDArray[np.uint8]) -> FeatureFrame:
        """BODY of an (H, W, 3) RGB image; not `valid` when nobody is seen."""
        height, width = image.shape[:2]
        found = self._graph.process(image).pose_landmarks
        if found is None:
            return _nobody(stamp_ns)
        points = np.array([(p.x * width, p.y * height, p.visibility) for p in found.landmark], np.float32)
        return body_frame(stamp_ns, joints_18(points), width, height)

    def reset(self) -> None:
        """Forget where the body was."""
        self._graph.reset()

    def close(self) -> None:
        """Release MediaPipe's graph."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None


def joints_18(points: FloatArray) -> FloatArray:
    """(18, 3) in the order of `names.JOINTS` from MediaPipe's (33, 3): x px, y px, visibility 0-1.

    The neck is the middle of the shoulders, as in OpenPose's training data, and as sure as the less sure of them.
    """
    joints = np.zeros((len(JOINTS), 3), np.float32)
    for joint, point in POINT_OF_JOINT.items():
        joints[JOINTS.index(joint)] = points[point]
    shoulders = joints[[RIGHT_SHOULDER, LEFT_SHOULDER]]
    joints[NECK] = (*shoulders[:, :2].mean(axis=0), shoulders[:, 2].min())
    return joints


def body_frame(stamp_ns: int, joints: FloatArray, width: int, height: int) -> FeatureFrame:
    """BODY of 18 joints; its confidence is that of nose, neck and shoulders, which a seated person shows."""
    if not is_body_visible(joints, height):
        return _nobody(stamp_ns)
    confidence = float(joints[[NOSE, NECK, RIGHT_SHOULDER, LEFT_SHOULDER], 2].mean())
    values = body_features(joints, width, height)
    return FeatureFrame(Modality.BODY, stamp_ns, values, True, min(confidence, 1.0), FEATURE_SET)


def _nobody(stamp_ns: int) -> FeatureFrame:
    return FeatureFrame(Modality.BODY, stamp_ns, np.zeros(len(BODY), np.float32), False, 0.0, FEATURE_SET)
