"""A researcher brings bodies that OpenPose measured, real ones too, and every way in which the files can be wrong."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.features.importers import FeatureFileError, openpose_files, read_openpose
from mmal_ros.features.names import BODY, JOINTS

START = 1_700_000_000_000_000_000
RATE, WIDTH, HEIGHT = 25.0, 640, 480
BOX_X = BODY.index("box_x")
UPRIGHT = {
    "nose": (0, -40), "neck": (0, 0), "right_shoulder": (-40, 0), "left_shoulder": (40, 0), "right_hip": (-20, 100),
    "left_hip": (20, 100), "right_eye": (-8, -48), "left_eye": (8, -48), "right_wrist": (-60, 90),
    "left_wrist": (60, 90),
}  # fmt: skip


def body_18(x: float, size: float = 1.0, confidence: float = 0.9) -> list[float]:
    """Somebody who stands at x, as the 54 numbers of OpenPose's COCO model; what is hidden is 0, 0, 0."""
    numbers = []
    for joint in JOINTS:
        dx, dy = UPRIGHT.get(joint, (None, None))
        numbers += [0, 0, 0] if dx is None else [x + size * dx, 150 + size * dy, confidence]
    return numbers


def body_25(x: float, size: float = 1.0) -> list[float]:
    """The same person as BODY_25 gives her: the middle of the hips comes in at 8, six points of the feet at the end."""
    joints = body_18(x, size)
    return [*joints[:24], x, 150 + size * 100, 0.9, *joints[24:], *[0.0] * 18]


def frame(*people: list[float]) -> bytes:
    return json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": numbers} for numbers in people]}).encode()


def recorded(folder: Path, frames: Mapping[int, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, content in frames.items():
        (folder / f"child_{number:012}_keypoints.json").write_bytes(content)
    return folder


def read(path: Path, **options: str) -> list[FeatureFrame]:
    return list(read_openpose(path, START, RATE, WIDTH, HEIGHT, **options))


# --- what is read -------------------------------------------------------------------------------------------------


def test_a_real_recording_of_two_people_follows_the_one_who_balances(shared_data: Path) -> None:
    """Pose2Sim's balancing trial, 1,088 x 1,920: a smaller person stands still at the left edge of camera 1."""
    archive = shared_data / "openpose-pose2sim/cam1_cam2_json.tar.gz"
    frames = list(read_openpose(archive, START, 60, 1088, 1920, recording="T01_BalancingTrial/pose/cam1"))

    assert [frame.stamp_ns for frame in frames] == [START + round(n / 60 * 1e9) for n in range(100)]
    valid = [frame for frame in frames if frame.valid]
    assert len(valid) == 96, "four times her neck is hidden, and nobody else is taken instead"
    assert all(frame.values[BOX_X] > 0.25 for frame in valid)
    assert all(frame.modality is Modality.BODY and frame.feature_set == "openpose-18" for frame in frames)
    assert all(0.3 < frame.confidence < 1 for frame in valid)


def test_several_cameras_in_one_archive_must_be_chosen_from(shared_data: Path) -> None:
    archive = shared_data / "openpose-pose2sim/cam1_cam2_json.tar.gz"
    with pytest.raises(
        FeatureFileError, match=r"several recordings .*'S00_P00_T01_.*/cam2_json/cam02.' \(100 frames\)"
    ):
        read(archive)
    with pytest.raises(FeatureFileError, match="2 recordings match 'Balancing'"):
        read(archive, recording="Balancing")
    with pytest.raises(FeatureFileError, match="0 recordings match 'cam3'"):
        read(archive, recording="cam3")


def test_a_video_of_another_size_is_noticed(shared_data: Path) -> None:
    archive = shared_data / "openpose-pose2sim/cam1_cam2_json.tar.gz"
    with pytest.raises(
        FeatureFileError, match=r"reach from \(0, 0\) to \(873, 1168\), outside 640 x 480: expected the"
    ):
        read(archive, recording="T01_BalancingTrial/pose/cam2")


def test_folder_tar_and_zip_give_the_same_as_do_both_models_of_openpose(tmp_path: Path) -> None:
    frames = {number: frame(body_25(300 + 10 * number)) for number in range(5)}
    folder = recorded(tmp_path / "json", frames)
    expected = read(recorded(tmp_path / "coco", {n: frame(body_18(300 + 10 * n)) for n in range(5)}))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar, zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted(folder.iterdir(), reverse=True):
            tar.add(file, f"out/{file.name}")
            archive.write(file, f"out/{file.name}")

    for path in (folder, tmp_path / "a.tar.gz", tmp_path / "a.zip"):
        for found, one in zip(read(path), expected, strict=True):
            np.testing.assert_array_equal(found.values, one.values)
            assert (found.stamp_ns, found.valid) == (one.stamp_ns, True)
    torso, box = expected[0].values[BODY.index("torso_length")], expected[4].values[BOX_X]
    assert (torso, box) == (pytest.approx(100 / HEIGHT), pytest.approx(340 / WIDTH))


def test_missing_frames_are_gaps_and_frames_without_people_are_not_valid(tmp_path: Path) -> None:
    frames = read(recorded(tmp_path / "json", {2: frame(body_18(300)), 3: frame(), 9: frame(body_18(300))}))
    assert [(f.stamp_ns - START, f.valid) for f in frames] == [
        (80_000_000, True),
        (120_000_000, False),
        (360_000_000, True),
    ]
    assert not frames[1].values.any()
    assert frames[1].confidence == 0


def test_frames_are_sorted_by_number_not_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "json"
    folder.mkdir()
    for number in (9, 10, 100):
        (folder / f"f{number}.json").write_bytes(frame(body_18(300)))
    assert [f.stamp_ns - START for f in read(folder)] == [360_000_000, 400_000_000, 4_000_000_000]


def test_a_therapist_who_walks_past_does_not_become_the_child(tmp_path: Path) -> None:
    """She comes near the camera, and so is larger, while the child moves a little and is hidden for half a second."""
    frames = {n: frame(body_18(200 + n), body_18(600 - 8 * n, size=1.6)) for n in range(20)}
    frames |= {n: frame(body_18(600 - 8 * n, size=1.6)) for n in range(8, 14)}
    del frames[0]
    frames[0] = frame(body_18(200))
    found = read(recorded(tmp_path / "json", frames))
    assert [f.valid for f in found] == [True] * 8 + [False] * 6 + [True] * 6
    assert all(f.values[BOX_X] < 0.4 for f in found if f.valid)


def test_somebody_who_left_is_forgotten_after_a_second(tmp_path: Path) -> None:
    frames = {0: frame(body_18(100), body_18(500, size=0.5))}
    frames |= {n: frame(body_18(500, size=0.5)) for n in range(1, 40)}
    valid = [f.valid for f in read(recorded(tmp_path / "json", frames))]
    assert valid == [True] + [False] * 25 + [True] * 14


def test_a_confidence_above_one_counts_as_one(tmp_path: Path) -> None:
    """OpenPose interpolates its heat maps; 1.41 was reported (its issue 615)."""
    (found,) = read(recorded(tmp_path / "json", {0: frame(body_18(300, confidence=1.4))}))
    assert (found.values[BODY.index("nose_confidence")], found.confidence) == (1, 1)


def test_the_shadow_files_of_a_mac_are_not_frames(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "json", {0: frame(body_18(300))})
    (folder / "._child_000000000000_keypoints.json").write_bytes(b"\x00\x05\x16\x07")
    (folder / "settings.json").write_text("{}")
    assert len(read(folder)) == 1


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "this is no JSON"),
        (b'{"people": [', "line 1: this is no JSON"),
        (b"\xff\xfe\x00", "this is no JSON"),
        (b"[" * 100_000, "this is no JSON: RecursionError"),
        (b"[]", "no frame of OpenPose"),
        (b'{"bodies": []}', "no frame of OpenPose"),
        (b'{"people": [7]}', r"people\[0\].pose_keypoints_2d': expected a list"),
        (b'{"people": [{"pose_keypoints": []}]}', "expected a list of x, y, confidence, found None"),
        (frame(body_18(300), []), r"people\[1\].*found 0 numbers, which is no body"),
        (frame([0.0] * 51), "found 51 numbers, which is COCO without neck"),
        (frame([0.0] * 45), r"found 45 numbers, which is MPI \(15 joints\); expected 75 \(BODY_25\) or 54"),
        (frame([0.0] * 53), "found 53 numbers; expected"),
        (frame([*body_18(300)[:53], "high"]), "found 'high' at position 53, expected a confidence from 0 to 1"),
        (frame([True, *body_18(300)[1:]]), "found True at position 0, expected pixels"),
        (frame([10**400, *body_18(300)[1:]]), "at position 0, expected pixels"),
        (frame([*body_18(300)[:2], 7, *body_18(300)[3:]]), "found 7 at position 2, expected a confidence"),
        (frame([float("nan"), *body_18(300)[1:]]), "found NaN, expected a finite number"),
        (frame([n / 1000 for n in body_18(300)]), "shares of the picture, expected pixels: --keypoint_scale 0"),
        (frame([-400, *body_18(300)[1:]]), "outside 640 x 480"),
        (frame(body_18(900)), "outside 640 x 480"),
    ],
)
def test_a_wrong_frame_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    folder = recorded(tmp_path / "json", {5: content})
    with pytest.raises(FeatureFileError, match=problem) as error:
        read(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("name", ["../evil_1.json", "/etc/evil_1.json", "a/../../evil_1.json", "C:\\evil_1.json"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_that_points_outside_itself_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "evil"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, frame())
    else:
        with tarfile.open(path, "w:gz") as tar:
            add(tar, tarfile.TarInfo(name), frame())
    with pytest.raises(FeatureFileError, match=r"refused: the member .* points outside the archive"):
        read(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_an_archive_with_links_or_devices_is_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("a_1.json")
        link.type, link.linkname = kind, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(FeatureFileError, match=r"refused: the member 'a_1.json' is no plain, readable file"):
        read(path)


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("a_1.json")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(FeatureFileError, match="is no plain, readable file"):
        read(path)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_small_archive_that_unpacks_to_very_much_is_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openpose_files, "LARGEST_ARCHIVE", 1 << 20)
    path = tmp_path / "bomb"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a_1.txt", bytes(2 << 20))
    else:
        with tarfile.open(path, "w:gz") as tar:
            add(tar, tarfile.TarInfo("a_1.txt"), bytes(2 << 20))
    assert path.stat().st_size < 10_000
    with pytest.raises(FeatureFileError, match="unpacks to more than 1,048,576 bytes: unpack it and give the folder"):
        read(path)


def test_a_frame_of_megabytes_is_refused(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "json", {0: b" " * (5 << 20)})
    with pytest.raises(FeatureFileError, match="5,242,880 bytes are too many for one frame"):
        read(folder)


def test_an_archive_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for number in range(20):
            add(
                tar,
                tarfile.TarInfo(f"a_{number}.json"),
                frame(body_18(np.random.default_rng(number).uniform(200, 400))),
            )
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FeatureFileError, match="cannot be read"):
        read(path)


def test_names_that_are_no_frame_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatureFileError, match="found no JSON file with a frame number at the end of its name"):
        read(recorded(tmp_path / "empty", {}))
    with pytest.raises(FeatureFileError, match="No such file"):
        read(tmp_path / "nothing")
    folder = tmp_path / "dates"
    folder.mkdir()
    (folder / "1699999999999.json").write_bytes(frame())
    with pytest.raises(FeatureFileError, match=r"1699999999999.json: expected a frame number of at most 100,000,000"):
        read(folder)
    (folder / "1699999999999.json").rename(folder / "12.json")
    (folder / "012.json").write_bytes(frame())
    with pytest.raises(FeatureFileError, match=r"'0?12.json' and '0?12.json' are the same frame"):
        read(folder)


def test_a_folder_with_a_broken_link_is_refused(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "json", {0: frame()})
    os.symlink(folder / "gone.json", folder / "child_1_keypoints.json")
    with pytest.raises(FeatureFileError, match="No such file"):
        read(folder)


@pytest.mark.parametrize("rate_hz", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_is_refused(tmp_path: Path, rate_hz: float) -> None:
    with pytest.raises(ValueError, match="expected a rate and a size above 0"):
        read_openpose(tmp_path, START, rate_hz, WIDTH, HEIGHT)


def add(tar: tarfile.TarFile, member: tarfile.TarInfo, content: bytes) -> None:
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
