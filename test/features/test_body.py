"""What seventy numbers say of how somebody sits."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmal_ros.datatypes import FloatArray
from mmal_ros.features.body import POINT_OF_JOINT, BodyExtractor, joints_18
from mmal_ros.features.body_geometry import WRIST_FAR, body_features, is_body_visible, torso_length
from mmal_ros.features.names import BODY, JOINTS

WIDTH, HEIGHT = 640, 480

STANDING = {
    "nose": (320, 110), "neck": (320, 160),
    "right_shoulder": (280, 160), "right_elbow": (270, 220), "right_wrist": (265, 280),
    "left_shoulder": (360, 160), "left_elbow": (370, 220), "left_wrist": (375, 280),
    "right_hip": (295, 260), "right_knee": (295, 340), "right_ankle": (295, 420),
    "left_hip": (345, 260), "left_knee": (345, 340), "left_ankle": (345, 420),
    "right_eye": (312, 100), "left_eye": (328, 100), "right_ear": (302, 105), "left_ear": (338, 105),
}  # fmt: skip
"""Upright, facing the camera, torso of 100 px."""
TABLE_HIDES = ("right_hip", "left_hip", "right_knee", "left_knee", "right_ankle", "left_ankle")


def person(hidden: tuple[str, ...] = (), **moved: tuple[float, float]) -> FloatArray:
    joints = np.array([(*(STANDING | moved)[joint], 0.9) for joint in JOINTS], np.float32)
    joints[[JOINTS.index(joint) for joint in hidden], 2] = 0.05
    return joints


def measured(joints: FloatArray) -> dict[str, float]:
    return dict(zip(BODY, body_features(joints, WIDTH, HEIGHT).tolist(), strict=True))


def turned(joints: FloatArray, degrees: float) -> FloatArray:
    """Clockwise in the image, about the middle of the hips."""
    matrix = cv2.getRotationMatrix2D((320, 260), -degrees, 1)
    result = joints.copy()
    result[:, :2] = cv2.transform(joints[None, :, :2], matrix)[0]
    return result


def test_somebody_upright() -> None:
    body = measured(person())
    assert body["nose_x"] == 0
    assert body["nose_y"] == pytest.approx(-0.5)
    assert (body["left_hip_x"], body["left_hip_y"]) == pytest.approx((0.25, 1.0))
    assert body["torso_length"] == pytest.approx(100 / HEIGHT)
    assert (body["lean_sin"], body["lean_cos"]) == pytest.approx((0, 1))
    assert (body["head_offset_x"], body["head_offset_y"]) == pytest.approx((0, -0.5))
    assert (body["shoulder_tilt"], body["head_roll"]) == (0, 0)
    assert (body["box_x"], body["box_y"]) == pytest.approx((0.5, 260 / HEIGHT))
    assert (body["box_width"], body["box_height"]) == pytest.approx((110 / WIDTH, 320 / HEIGHT))
    assert body["mean_confidence"] == pytest.approx(0.9)
    assert body["visible_joints"] == 1


def test_somebody_leans_to_the_right_of_the_image() -> None:
    body = measured(turned(person(), 20))
    assert math.degrees(math.atan2(body["lean_sin"], body["lean_cos"])) == pytest.approx(20, abs=0.1)
    assert math.degrees(body["shoulder_tilt"]) == pytest.approx(20, abs=0.1)
    assert math.degrees(body["head_roll"]) == pytest.approx(20, abs=0.1)


def test_somebody_turns_around_and_the_tilt_does_not_jump() -> None:
    swapped = {"right_shoulder": STANDING["left_shoulder"], "left_shoulder": STANDING["right_shoulder"]}
    assert measured(person(**swapped))["shoulder_tilt"] == 0


def test_somebody_raises_a_hand_to_the_face() -> None:
    body = measured(person(right_wrist=(300, 110)))
    assert body["right_wrist_height"] == pytest.approx(0.5)
    assert body["left_wrist_height"] == pytest.approx(-1.2)
    assert body["wrist_face_distance"] == pytest.approx(0.2)


def test_a_table_hides_the_hips_and_the_unit_stays_nearly_the_same() -> None:
    seated = person(hidden=TABLE_HIDES)
    body = measured(seated)
    assert torso_length(seated) == pytest.approx(torso_length(person()), rel=0.1)
    assert (body["left_hip_x"], body["left_hip_y"]) == (0, 0)
    assert body["left_hip_confidence"] == pytest.approx(0.05)
    assert (body["lean_sin"], body["lean_cos"]) == (0, 0), "unknown, not upright"
    assert body["visible_joints"] == pytest.approx(12 / 18)


def test_a_child_behind_a_table_turns_sideways_and_the_unit_does_not_collapse() -> None:
    sideways = person(hidden=TABLE_HIDES, right_shoulder=(316, 160), left_shoulder=(324, 160))
    assert torso_length(sideways) > 0.7 * torso_length(person())


def test_hands_under_the_table_are_not_at_the_face() -> None:
    assert measured(person(hidden=("right_wrist", "left_wrist")))["wrist_face_distance"] == WRIST_FAR


@pytest.mark.parametrize("hidden", [("neck",), tuple(JOINTS), ("nose", "right_shoulder", *TABLE_HIDES)])
def test_too_little_of_somebody_is_nobody(hidden: tuple[str, ...]) -> None:
    joints = person(hidden=hidden)
    assert not is_body_visible(joints, HEIGHT)
    assert not body_features(joints, WIDTH, HEIGHT).any()


@given(scale=st.floats(0.3, 3), x=st.floats(-200, 200), y=st.floats(-200, 200))
def test_where_somebody_sits_and_how_far_away_does_not_matter(scale: float, x: float, y: float) -> None:
    moved = person()
    moved[:, :2] = moved[:, :2] * scale + (x, y)
    depends_on_place = ("box_x", "box_y", "box_width", "box_height", "torso_length")
    before, after = measured(person()), measured(moved)
    for name in set(BODY) - set(depends_on_place):
        assert after[name] == pytest.approx(before[name], abs=1e-3), name


@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0, 1)), min_size=18, max_size=18))
def test_whatever_the_joints_the_numbers_are_finite(joints: list[tuple[float, float, float]]) -> None:
    values = body_features(np.array(joints, np.float32), WIDTH, HEIGHT)
    assert values.shape == (70,)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


@pytest.mark.parametrize("joints", [np.zeros((25, 3)), np.full((18, 3), np.nan)])
def test_other_joints_are_refused(joints: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected 18 joints of finite"):
        body_features(joints, WIDTH, HEIGHT)


def test_right_stays_right_between_the_two_lists_of_joints() -> None:
    points = np.zeros((33, 3), np.float32)
    for joint, point in POINT_OF_JOINT.items():
        points[point] = (*STANDING[joint], 0.9)
    points[POINT_OF_JOINT["left_shoulder"], 2] = 0.5
    joints = joints_18(points)
    expected = person()
    expected[JOINTS.index("left_shoulder"), 2] = expected[JOINTS.index("neck"), 2] = 0.5
    np.testing.assert_allclose(joints, expected)


@pytest.fixture(scope="module")
def talking_head(shared_data: Path) -> np.ndarray:
    video = cv2.VideoCapture(str(shared_data / "grid-av-clips" / "bbaf2n.mpg"))
    images = [cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2RGB) for _ in range(5)]
    video.release()
    return np.stack(images)


def test_a_talking_head_has_shoulders_and_no_hips(talking_head: np.ndarray) -> None:
    extractor = BodyExtractor()
    frame = [extractor.extract(n, image) for n, image in enumerate(talking_head)][-1]
    extractor.close()
    body = dict(zip(BODY, frame.values.tolist(), strict=True))
    assert frame.valid
    assert frame.confidence > 0.7
    assert frame.stamp_ns == 4
    assert body["right_shoulder_x"] < 0 < body["left_shoulder_x"], "the person's right is on the left of the image"
    assert body["nose_y"] < -0.2
    assert body["left_hip_confidence"] < 0.3


def test_an_empty_room_has_nobody() -> None:
    extractor = BodyExtractor()
    frame = extractor.extract(7, np.full((480, 640, 3), 90, np.uint8))
    extractor.close()
    assert not frame.valid
    assert not frame.values.any()
    assert (frame.confidence, frame.feature_set) == (0.0, "mediapipe-pose")
