"""What 257 numbers say of a face; the geometry with known truth, the rest on real faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from skimage import data

from mmal_ros.features.action_units import NeutralFace, presences
from mmal_ros.features.face import FaceExtractor
from mmal_ros.features.face_landmarks import HEAD_SHAPE, RIGID, DoubleArray, fit_similarity, head_in_image, landmarks_68
from mmal_ros.features.face_mesh import FaceMesh, choose_face
from mmal_ros.features.gaze import gaze_directions
from mmal_ros.features.head_pose import Lens, euler_angles, landmarks_in_camera, solve_head_pose
from mmal_ros.features.names import ACTION_UNITS, ACTION_UNITS_PRESENCE, FACE, HEAD_POSITION, HEAD_ROTATION, SHAPE_RIGID

LENS = Lens.assumed(640, 480)
FRAME_NS = 40_000_000


def rotation(pitch: float, yaw: float, roll: float) -> DoubleArray:
    turns = [cv2.Rodrigues(np.array(axis, float))[0] for axis in ((pitch, 0, 0), (0, yaw, 0), (0, 0, roll))]
    return np.asarray(turns[0] @ turns[1] @ turns[2])


def seen_by(lens: Lens, points: DoubleArray) -> DoubleArray:
    """(n, 2) px of (n, 3) mm before the camera."""
    return points[:, :2] / points[:, 2:] * lens.focal_px + (lens.centre_x, lens.centre_y)


def rgb_images(path: Path, most: int = 1000) -> Iterator[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    while most and (read := video.read())[0]:
        yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        most -= 1
    video.release()


def features(images: Iterator[np.ndarray] | list[np.ndarray], calibration_s: float = 1.0) -> pd.DataFrame:
    """One row per image, with the names of the features, and `valid` and `confidence`."""
    extractor = FaceExtractor(calibration_s)
    frames = [extractor.extract(n * FRAME_NS, image) for n, image in enumerate(images)]
    extractor.close()
    table = pd.DataFrame(np.stack([frame.values for frame in frames]), columns=list(FACE))
    return table.assign(valid=[frame.valid for frame in frames], confidence=[frame.confidence for frame in frames])


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="module")
def mesh(astronaut: np.ndarray) -> DoubleArray:
    graph = FaceMesh()
    found = graph.find(astronaut)
    graph.close()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def talking_head(shared_data: Path) -> pd.DataFrame:
    return features(rgb_images(shared_data / "grid-av-clips" / "bbaf2n.mpg"))


# --- geometry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.3, 0, 0), (0, 0.5, 0), (0, 0, -0.4), (-0.2, -0.6, 0.3)])
def test_a_head_is_found_where_it_is(angles: tuple[float, float, float]) -> None:
    position = np.array([60.0, -40.0, 700.0])
    pose = solve_head_pose(seen_by(LENS, HEAD_SHAPE @ rotation(*angles).T + position), LENS)
    assert pose is not None
    np.testing.assert_allclose(pose.position, position, atol=0.1)
    np.testing.assert_allclose(pose.angles, angles, atol=1e-3)


def test_a_head_that_turns_to_the_left_of_the_image_has_positive_yaw() -> None:
    tip, ears = 30, [0, 16]
    turned = HEAD_SHAPE @ rotation(0, 0.4, 0).T
    assert turned[tip, 0] < turned[ears, 0].mean()
    looking_down = HEAD_SHAPE @ rotation(0.4, 0, 0).T
    assert looking_down[tip, 1] - HEAD_SHAPE[tip, 1] > 10


def test_a_head_that_points_at_the_camera_is_on_axis_wherever_it_is() -> None:
    position = np.array([200.0, 0, 600.0])
    towards_camera = rotation(0, np.arctan2(200, 600), 0)
    pose = solve_head_pose(seen_by(LENS, HEAD_SHAPE @ towards_camera.T + position), LENS)
    assert pose is not None
    assert pose.off_axis < 0.01


def test_landmarks_in_millimetres_are_the_head_before_the_camera() -> None:
    """A long lens, where weak and full perspective agree."""
    lens, true = Lens(3000, 320, 240), HEAD_SHAPE @ rotation(0.2, 0.3, 0).T + (20, 30, 4000)
    scale = 3000 / 4000
    landmarks = np.column_stack([seen_by(lens, true), (true[:, 2] - 4000) * scale])
    pose = solve_head_pose(landmarks, lens)
    assert pose is not None
    found = landmarks_in_camera(landmarks, head_in_image(landmarks), pose, lens)
    np.testing.assert_allclose(found, true, atol=4)


def test_angles_and_position_mean_what_they_mean_in_a_file_of_openface(shared_data: Path) -> None:
    """Its landmarks against our mean head give its own angles, position and scale."""
    table = pd.read_csv(shared_data / "pyfeat-testdata" / "OpenFace_Test.csv", skipinitialspace=True)
    rigid = list(RIGID)
    for _, row in table.iloc[::10].iterrows():
        points = np.stack([[row[f"{axis}_{n}"] for n in range(68)] for axis in "XYZ"], axis=1)
        fit = fit_similarity(HEAD_SHAPE[rigid], points[rigid])
        np.testing.assert_allclose(euler_angles(fit.rotation), row[list(HEAD_ROTATION)].astype(float), atol=0.05)
        np.testing.assert_allclose(fit.translation, row[list(HEAD_POSITION)].astype(float), atol=8)
        assert fit.scale == pytest.approx(1, abs=0.06)
        inside = range(17, 68)  # the jaw is another line, see MESH_OF_LANDMARK
        assert np.linalg.norm(fit.invert(points) - HEAD_SHAPE, axis=1)[inside].max() < 12, "the 68 are the same points"
        image = np.stack([[row[f"{axis}_{n}"] for n in range(68)] for axis in "xy"], axis=1)
        pose = solve_head_pose(image, Lens(437.5, 320, 180))
        assert pose is not None
        assert (np.abs(pose.position - row[list(HEAD_POSITION)].astype(float)) < (3, 3, 50)).all(), "mm; 50 is 8 %"
        np.testing.assert_allclose(pose.angles, row[list(HEAD_ROTATION)].astype(float), atol=0.08)


def test_the_eyes_follow_the_irises(mesh: DoubleArray) -> None:
    head = head_in_image(landmarks_68(mesh))
    irises = [*range(468, 478)]

    def gaze(x: float, y: float) -> DoubleArray:
        moved = mesh.copy()
        moved[irises, :2] += (x, y)
        return gaze_directions(moved, head, head.rotation).mean(axis=0)

    still, right, down = gaze(0, 0), gaze(3, 0), gaze(0, 2)
    assert right[0] > still[0] + 0.2
    assert down[1] > still[1] + 0.15
    assert np.linalg.norm(still) == pytest.approx(1, abs=0.05)


def test_eyes_that_rest_in_a_head_that_turns_look_where_it_points(mesh: DoubleArray) -> None:
    head = head_in_image(landmarks_68(mesh))
    ahead = gaze_directions(mesh, head, np.eye(3))
    turned = gaze_directions(mesh, head, rotation(0, 0.5, 0))
    np.testing.assert_allclose(turned, ahead @ rotation(0, 0.5, 0).T, atol=1e-9)
    assert (turned[:, 0] < ahead[:, 0] - 0.3).all(), "to the left of the image, as the nose"


# --- action units ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def neutral(mesh: DoubleArray) -> tuple[NeutralFace, DoubleArray]:
    face = head_in_image(landmarks_68(mesh)).invert(mesh)
    neutral = NeutralFace(calibration_s=0.1)
    for n in range(10):
        neutral.learn(n * FRAME_NS, face, off_axis=0)
    return neutral, face


@pytest.mark.parametrize(
    ("unit", "points", "move"),
    [
        ("AU01", (55, 107, 285, 336), (0, -5, 0)),
        ("AU02", (46, 70, 276, 300), (0, -5, 0)),
        ("AU15", (61, 291), (0, 5, 0)),
        ("AU25", (14, 17, 84, 314), (0, 6, 0)),
        ("AU26", (152, 148, 377), (0, 10, 0)),
        ("AU45", (159, 386), (0, 5, 0)),
    ],
)
def test_what_moves_in_the_face_raises_its_unit(
    neutral: tuple[NeutralFace, DoubleArray], unit: str, points: tuple[int, ...], move: tuple[float, float, float]
) -> None:
    person, face = neutral
    assert person.intensities(face).max() < 0.01, "the neutral face itself"
    moved = face.copy()
    moved[list(points)] += move
    intensities = dict(zip(ACTION_UNITS, person.intensities(moved), strict=True))
    assert intensities[unit] > 1.5
    others = {"AU07", "AU14"} | ({"AU01", "AU02", "AU26", "AU45"} - {unit})
    assert all(intensities[other] < 0.5 for other in others)


def test_a_smile_widens_and_lifts_the_mouth(neutral: tuple[NeutralFace, DoubleArray]) -> None:
    person, face = neutral
    smiling = face.copy()
    smiling[61] += (-4, -4, 0)
    smiling[291] += (4, -4, 0)
    assert dict(zip(ACTION_UNITS, person.intensities(smiling), strict=True))["AU12"] > 2


def test_a_head_that_moves_is_no_expression(neutral: tuple[NeutralFace, DoubleArray]) -> None:
    person, face = neutral
    elsewhere = 1.3 * face @ rotation(0.2, -0.3, 0.1).T + (5, 9, 40)
    assert person.intensities(elsewhere).max() < 0.01


def test_units_are_zero_until_the_neutral_face_is_known_and_it_is_frozen_then(mesh: DoubleArray) -> None:
    face = head_in_image(landmarks_68(mesh)).invert(mesh)
    open_mouth = face.copy()
    open_mouth[[14, 17, 84, 314], 1] += 6
    person = NeutralFace(calibration_s=1.0)
    for n in range(26):
        assert not person.intensities(open_mouth).any()
        person.learn(n * FRAME_NS, open_mouth if n % 3 == 0 else face, off_axis=0)
    assert person.is_known, "25 intervals of 40 ms are a second"
    before = person.intensities(open_mouth)
    assert before.max() > 1.5, "who talks meanwhile has a closed mouth as neutral all the same"
    for n in range(26, 100):
        person.learn(n * FRAME_NS, open_mouth, off_axis=0)
    np.testing.assert_array_equal(person.intensities(open_mouth), before)


def test_who_looks_away_is_not_calibrated(mesh: DoubleArray) -> None:
    person = NeutralFace(calibration_s=1.0)
    for n in range(100):
        person.learn(n * FRAME_NS, mesh, off_axis=0.8)
    assert not person.is_known


def test_presence_begins_at_one() -> None:
    intensities = np.zeros(len(ACTION_UNITS))
    intensities[ACTION_UNITS.index("AU25")] = 1.0
    intensities[ACTION_UNITS.index("AU26")] = 0.99
    present = dict(zip(ACTION_UNITS_PRESENCE, presences(intensities), strict=True))
    assert (present["AU25"], present["AU26"], present["AU28"]) == (1, 0, 0)


# --- which face --------------------------------------------------------------------------------------------------


def square(left: float, side: float) -> DoubleArray:
    return np.array([(left, 0), (left + side, 0), (left, side), (left + side, side)])


def test_the_largest_face_is_chosen_and_two_like_ones_do_not_alternate() -> None:
    child, therapist = square(0, 100), square(300, 110)
    assert choose_face([child, therapist], None) is therapist
    assert choose_face([child, therapist], square(5, 100)) is child
    assert choose_face([child, square(300, 200)], square(5, 100))[0, 0] == 300
    assert choose_face([], child) is None


# --- real faces --------------------------------------------------------------------------------------------------


def test_a_face_in_a_photograph(astronaut: np.ndarray) -> None:
    row = features([astronaut]).iloc[0]
    assert row.valid
    assert row.confidence == pytest.approx(0.5), "faces the camera, but her neutral face is not known yet"
    assert 170 < row.p_tx < 280
    assert 70 < row.p_ty < 180
    assert row[list(HEAD_POSITION)].tolist() == pytest.approx([-50, -190, 760], abs=80)
    assert row.gaze_0_z < -0.8
    assert pytest.approx(140, abs=25) == row.X_16 - row.X_0, "a head is about 14 cm wide"


def test_in_the_mirror_a_head_is_turned_the_other_way(shared_data: Path) -> None:
    images = list(rgb_images(shared_data / "grid-av-clips" / "bbaf2n.mpg", 20))
    seen, mirrored = features(images).median(), features([image[:, ::-1].copy() for image in images]).median()
    assert abs(seen.pose_Ry) > 0.08
    np.testing.assert_allclose(mirrored.pose_Ry, -seen.pose_Ry, atol=0.06)
    np.testing.assert_allclose(mirrored.pose_Rx, seen.pose_Rx, atol=0.06)
    np.testing.assert_allclose(mirrored.pose_Tx, -seen.pose_Tx, atol=8)
    np.testing.assert_allclose(mirrored.gaze_0_x, -seen.gaze_1_x, atol=0.12)


def test_a_head_tilted_clockwise_has_more_roll(astronaut: np.ndarray) -> None:
    tilted = cv2.warpAffine(astronaut, cv2.getRotationMatrix2D((224, 130), -20, 1), (512, 512))
    roll = [features([image]).iloc[0].pose_Rz for image in (astronaut, tilted)]
    assert roll[1] - roll[0] == pytest.approx(np.radians(20), abs=0.06)


def test_a_talking_head_opens_its_mouth_and_looks_ahead(talking_head: pd.DataFrame) -> None:
    learning, known = talking_head.iloc[:20], talking_head.iloc[40:]
    units = [name for name in FACE if name.startswith("AU")]
    assert talking_head.valid.all()
    assert not learning[units].any(axis=None)
    assert (learning.confidence <= 0.5).all()
    assert (known.confidence > 0.9).all()
    assert known.AU25_r.max() > 1.5
    assert known.AU25_r.min() < 0.5
    assert known.AU25_c.max() == 1
    assert known.AU26_r.max() > 0.5
    assert (known.AU07_r == 0).all()
    assert (known[["gaze_0_z", "gaze_1_z"]].median() < -0.93).all()
    assert known[list(HEAD_ROTATION)].abs().max(axis=None) < 0.35
    assert 300 < known.pose_Tz.median() < 600
    assert known.p_scale.median() == pytest.approx(360 / known.pose_Tz.median(), rel=0.15)


def test_ranges_hold_on_a_lively_face(shared_data: Path) -> None:
    table = features(rgb_images(shared_data / "pyfeat-testdata" / "WolfgangLanger_Pexels.mp4", 120))
    seen = table[table.valid]
    assert len(seen) > 110
    assert np.isfinite(seen[list(FACE)].to_numpy(float)).all()
    intensity = seen[[name for name in FACE if name.endswith("_r")]]
    assert intensity.min(axis=None) >= 0
    assert intensity.max(axis=None) <= 5
    assert seen[list(HEAD_ROTATION)].abs().max(axis=None) < 1.2
    assert (seen[[name for name in SHAPE_RIGID if name == "p_scale"]] > 0.3).all(axis=None)


def test_a_face_that_leaves_is_no_face(shared_data: Path) -> None:
    images = list(rgb_images(shared_data / "pyfeat-testdata" / "face_noface.mov"))
    table = features([cv2.resize(image, (480, 270)) for image in images[30:110:2]])
    assert table.valid.iloc[:20].all()
    assert not table.valid.iloc[-18:].any()
    gone = table[~table.valid]
    assert not gone[list(FACE)].any(axis=None)
    assert (gone.confidence == 0).all()


def test_an_empty_room_has_no_face(shared_data: Path) -> None:
    assert not features(rgb_images(shared_data / "pyfeat-testdata" / "no_face.mp4", 30)).valid.any()
