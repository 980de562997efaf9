"""Body: 18 joints in an image -> the 70 numbers of `names.BODY`. Pure geometry, whichever tool found the joints.

Positions are relative to the neck and measured in torso lengths, so that neither where somebody sits nor how far away
changes them. A child at a table hides the hips; the torso length then comes from what is seen of shoulders and head.
Whatever cannot be seen is 0, with the confidence of its joint beside it to say so.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray
from mmal_ros.features.names import BODY, JOINTS

VISIBLE = 0.3
"""A joint of lower confidence counts as not seen. OpenPose's tenth and thirtieth percentiles are 0.24 and 0.39 (two
people walking); MediaPipe gives hidden joints at most 0.25 and seen ones at least 0.8 (nine talking heads)."""
TORSO_PER_SHOULDER_WIDTH = 1.35
"""Of adults who face the camera: OpenPose joints on recorded walks give 1.30 to 1.40."""
TORSO_PER_NECK_TO_NOSE = 2.0
"""About that of a child, whose head is large (2.9 in adults: Winter 2009, Biomechanics, fig. 4.1). Low on purpose: it
only keeps the unit from collapsing when the shoulders are seen from the side."""
SMALLEST_TORSO = 0.02
"""Share of the image's height; a smaller torso is noise, and dividing by it would only magnify that."""
WRIST_FAR = 2.0
"""Torso lengths: farther than a wrist hangs from the face (about 1.5). Also stands for "no wrist or no face seen"."""

BoolArray = NDArray[np.bool_]

NOSE, NECK = JOINTS.index("nose"), JOINTS.index("neck")
RIGHT_SHOULDER, LEFT_SHOULDER = JOINTS.index("right_shoulder"), JOINTS.index("left_shoulder")
RIGHT_WRIST, LEFT_WRIST = JOINTS.index("right_wrist"), JOINTS.index("left_wrist")
RIGHT_HIP, LEFT_HIP = JOINTS.index("right_hip"), JOINTS.index("left_hip")
RIGHT_EYE, LEFT_EYE = JOINTS.index("right_eye"), JOINTS.index("left_eye")
RIGHT_EAR, LEFT_EAR = JOINTS.index("right_ear"), JOINTS.index("left_ear")


def is_body_visible(joints: FloatArray, height: int) -> bool:
    """Whether `body_features` can measure: a neck is seen, and enough around it to scale by."""
    return bool(_seen(joints)[NECK]) and torso_length(joints) >= SMALLEST_TORSO * height


def body_features(joints: FloatArray, width: int, height: int) -> FloatArray:
    """The 70 numbers of `names.BODY`.

    Args:
        joints: (18, 3) in the order of `names.JOINTS`: x px, y px (down), confidence 0-1.
        width: of the image, px.
        height: of the image, px.

    Returns:
        (70,), zeros when the body is not visible (`is_body_visible`).

    Raises:
        ValueError: the joints are not a finite (18, 3).
    """
    joints = np.asarray(joints, np.float32)
    if joints.shape != (len(JOINTS), 3) or not np.isfinite(joints).all():
        raise ValueError(f"expected {len(JOINTS)} joints of finite x, y, confidence, got an array of {joints.shape}")
    if not is_body_visible(joints, height):
        return np.zeros(len(BODY), np.float32)
    relative = _relative_to_neck(joints)
    return np.concatenate([relative.ravel(), _bounding_box(joints, width, height), _posture(joints, relative, height)])


def torso_length(joints: FloatArray) -> float:
    """Neck to the middle of the hips in pixels; estimated where no hip is seen, 0 where nothing tells.

    A segment that points towards the camera only ever looks shorter, so the longer of the two estimates is taken.
    """
    seen, points = _seen(joints), joints[:, :2]
    hips = [hip for hip in (RIGHT_HIP, LEFT_HIP) if seen[hip]]
    if hips:
        return _distance(points[hips].mean(axis=0), points[NECK])
    estimates = [0.0]
    if seen[RIGHT_SHOULDER] and seen[LEFT_SHOULDER]:
        estimates.append(TORSO_PER_SHOULDER_WIDTH * _distance(points[RIGHT_SHOULDER], points[LEFT_SHOULDER]))
    if seen[NOSE]:
        estimates.append(TORSO_PER_NECK_TO_NOSE * _distance(points[NOSE], points[NECK]))
    return max(estimates)


def _seen(joints: FloatArray) -> BoolArray:
    return np.asarray(joints[:, 2] >= VISIBLE, np.bool_)


def _distance(one: FloatArray, other: FloatArray) -> float:
    return float(np.hypot(*(one - other)))


def _relative_to_neck(joints: FloatArray) -> FloatArray:
    """(18, 3): positions in torso lengths from the neck, 0 where not seen; confidence as measured."""
    relative = joints.copy()
    relative[:, :2] = (joints[:, :2] - joints[NECK, :2]) / torso_length(joints)
    relative[~_seen(joints), :2] = 0
    return relative


def _bounding_box(joints: FloatArray, width: int, height: int) -> FloatArray:
    """Centre and size of what is seen, in shares of the image."""
    points = joints[_seen(joints), :2] / np.array([width, height], np.float32)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([(low + high) / 2, high - low])


def _posture(joints: FloatArray, relative: FloatArray, height: int) -> FloatArray:
    """The twelve numbers of `names.POSTURE`."""
    seen = _seen(joints)
    posture = (
        torso_length(joints) / height,
        *_lean(relative, seen),
        _tilt(relative, seen, RIGHT_SHOULDER, LEFT_SHOULDER),
        *relative[NOSE, :2],
        _head_roll(relative, seen),
        0 - relative[RIGHT_WRIST, 1],
        0 - relative[LEFT_WRIST, 1],
        _wrist_to_face(relative, seen),
        joints[:, 2].mean(),
        seen.mean(),
    )
    return np.array(posture, np.float32)


def _lean(relative: FloatArray, seen: BoolArray) -> tuple[float, float]:
    """Sine and cosine of the angle from upright, positive to the right of the image; (0, 0): no hip is seen."""
    hips = [hip for hip in (RIGHT_HIP, LEFT_HIP) if seen[hip]]
    if not hips:
        return 0.0, 0.0
    x, y = relative[hips, :2].mean(axis=0)
    length = math.hypot(x, y)
    return float(-x / length), float(y / length)


def _tilt(relative: FloatArray, seen: BoolArray, right: int, left: int) -> float:
    """Radians, -pi/2 to pi/2, of the line between two joints: positive when the person's left is lower.

    From behind as from the front, so that somebody who turns around does not jump by pi.
    """
    if not (seen[right] and seen[left]):
        return 0.0
    x, y = relative[left, :2] - relative[right, :2]
    return math.atan2(y, abs(x))


def _head_roll(relative: FloatArray, seen: BoolArray) -> float:
    """Radians: the tilt of the eyes, or of the ears from behind."""
    if seen[RIGHT_EYE] and seen[LEFT_EYE]:
        return _tilt(relative, seen, RIGHT_EYE, LEFT_EYE)
    return _tilt(relative, seen, RIGHT_EAR, LEFT_EAR)


def _wrist_to_face(relative: FloatArray, seen: BoolArray) -> float:
    """Torso lengths from the nose to the nearer wrist, at most `WRIST_FAR`."""
    wrists = [wrist for wrist in (RIGHT_WRIST, LEFT_WRIST) if seen[wrist]]
    if not (wrists and seen[NOSE]):
        return WRIST_FAR
    return min(WRIST_FAR, *(_distance(relative[wrist, :2], relative[NOSE, :2]) for wrist in wrists))
