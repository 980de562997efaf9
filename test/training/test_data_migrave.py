"""Faces of people with a robot: a table program took away decimal points, and there is no time in the file."""

from __future__ import annotations

import numpy as np
import pytest

from mmal_ros.datatypes import Modality
from mmal_ros.training.data import load_data_set, migrave
from mmal_ros.training.people import DataError

FILE = "migrave_engagement_p1_p2.csv"


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "migrave-engagement"


@pytest.fixture(scope="module")
def data(folder):
    return load_data_set("migrave-engagement", folder)


@pytest.fixture
def damaged(folder, tmp_path):
    """A copy as lines of cells, and a function that writes it back and reads the set."""
    lines = [line.split(",") for line in (folder / FILE).read_text().splitlines()]

    def read():
        (tmp_path / FILE).write_text("\n".join(",".join(cells) for cells in lines) + "\n")
        return migrave.load(tmp_path)

    return lines, read


def column(data, name):
    return np.concatenate(
        [person.features[Modality.FACE][:, 0, migrave.FEATURES[Modality.FACE].index(name)] for person in data.people]
    )


def test_two_people_three_classes(data):
    assert data.codes == ("1", "2")
    assert [np.bincount(person.labels).tolist() for person in data.people] == [[299, 349, 349], [262, 271, 269]]
    assert all(person.heard(Modality.FACE).all() for person in data.people)


def test_a_lost_decimal_point_is_restored(data):
    assert column(data, "of_pose_Tx")[:2] == pytest.approx([71.954, 70.5595])  # 71954 in the file
    assert column(data, "of_gaze_angle_x")[:2] == pytest.approx([0.001, 0.0005])  # 1 in the file


def test_restored_numbers_lie_as_near_to_their_neighbours_as_the_others(data, folder):
    words = [line.split(",")[migrave_index(folder)] for line in (folder / FILE).read_text().splitlines()[1:]]
    restored = np.flatnonzero(["." not in word for word in words])
    depth = column(data, "of_pose_Tz")
    inner = restored[(restored > 0) & (restored < len(depth) - 1)]
    off = np.abs(depth - (np.roll(depth, 1) + np.roll(depth, -1)) / 2)
    assert len(inner) > 100
    assert np.median(off[inner]) < 1.5 * np.median(off)


def migrave_index(folder):
    return (folder / FILE).read_text().splitlines()[0].split(",").index("of_pose_Tz")


def test_action_units_are_left_as_they_are(data):
    for unit in migrave.UNITS:
        assert set(column(data, unit)) <= {0.0, 1.0}


def test_eyes_that_were_not_found_are_no_gaze_of_zero(data, folder):
    assert "164 rows had no gaze" in data.repairs
    assert (column(data, "of_gaze_0_z") > 100).sum() == 1798  # and the 1216 mm that were whole by chance
    binary = load_data_set("migrave-engagement-binary", folder)
    assert "301 rows had no gaze" in binary.repairs


def test_blocks_are_the_runs_of_one_class(data, folder):
    assert [np.unique(person.blocks).tolist() for person in data.people] == [[0, 1, 2], [0, 1, 2]]
    binary = load_data_set("migrave-engagement-binary", folder)
    assert (binary.codes, binary.classes) == (("1", "2", "3", "4"), ("not engaged", "engaged"))
    assert [len(np.unique(person.blocks)) for person in binary.people] == [2, 3, 3, 3]
    for person in (*data.people, *binary.people):
        for block in np.unique(person.blocks):
            assert len(np.unique(person.labels[person.blocks == block])) == 1


def test_an_unknown_class_is_refused_with_its_line(damaged):
    lines, read = damaged
    lines[7][1] = "2"
    with pytest.raises(DataError, match="line 8, column 'engagement': found '2'"):
        read()


def test_a_missing_column_is_named(damaged):
    lines, read = damaged
    lines[0][lines[0].index("of_pose_Rx")] = "pose_Rx"
    with pytest.raises(DataError, match="of_pose_Rx; did you mean pose_Rx"):
        read()


def test_a_missing_number_holds_the_one_before(damaged):
    lines, read = damaged
    at = lines[0].index("of_pose_Ty")
    lines[3][at] = ""
    assert column(read(), "of_pose_Ty")[2] == np.float32(lines[2][at])


def test_a_picture_without_a_face_is_a_missing_modality(damaged):
    lines, read = damaged
    lines[5][2:34] = ["NaN"] * 32
    person = read().people[0]
    assert np.flatnonzero(~person.heard(Modality.FACE)).tolist() == [4]
    assert not person.features[Modality.FACE][4].any()


def test_a_column_without_any_number_is_refused(damaged):
    lines, read = damaged
    at = lines[0].index("of_AU45_c")
    for cells in lines[1:]:
        cells[at] = ""
    with pytest.raises(DataError, match="column 'of_AU45_c' of face holds no number"):
        read()


def test_who_is_of_one_class_only_is_kept_and_named(damaged):
    lines, read = damaged
    lines[1:] = [cells for cells in lines[1:] if cells[0] == "1" or cells[1] == "1"]
    assert any("2 has windows of 'engaged' only" in repair for repair in read().repairs)


def test_a_file_that_was_cut_off_is_refused(damaged):
    lines, read = damaged
    del lines[-1][20:]
    with pytest.raises(DataError, match="found 20 cells, expected 36"):
        read()
