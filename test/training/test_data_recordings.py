"""Recorded sessions and a table of who was how engaged when: cut as the live graph cuts."""

from __future__ import annotations

import numpy as np
import pytest

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Modality
from mmal_ros.features.names import FEATURE_SETS, PHYSIOLOGY
from mmal_ros.features.recording import read_recording, write_recording
from mmal_ros.training.data import load_data_set, recordings
from mmal_ros.training.data.cutting import GAP_S
from mmal_ros.training.people import DataError
from mmal_ros.window_stream import WindowStream

DAY_NS = 86_400 * NANOSECONDS_PER_SECOND
START_NS = 1_600_000_000 * NANOSECONDS_PER_SECOND
HEADER = "person,recording,start_s,end_s,level"
ROWS = [
    "C1,monday,0,10,low",
    "C1,monday,10,20,high",
    "C1,tuesday.npz,2,9,Medium",
    "C2,other,0,12,low",
    "C2,other,15,20,high",
]


def frames(seed, start_ns, duration_s, feature_sets):
    """A frame of each modality every 100 ms, known 20 ms later; the face is away from second 5 to 7."""
    rng = np.random.default_rng(seed)
    for step in range(1, round(duration_s * 10) + 1):
        stamp_ns = start_ns + step * 100_000_000
        for modality, name in feature_sets.items():
            valid = modality is not Modality.FACE or not 50 < step <= 70
            values = rng.normal(size=len(FEATURE_SETS[name][1])).astype(np.float32) * valid
            yield stamp_ns + 20_000_000, FeatureFrame(modality, stamp_ns, values, valid, float(valid), name)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "sessions"
    place.mkdir()
    both = {Modality.FACE: "mediapipe-face", Modality.PHYSIOLOGY: "e4"}
    write(place, "monday", 1, START_NS, both)
    write(place, "tuesday", 2, START_NS + DAY_NS, both)
    write(place, "other", 3, START_NS, {Modality.PHYSIOLOGY: "e4"})
    label(place, ROWS)
    return place


def write(folder, name, seed, start_ns, feature_sets):
    write_recording(folder / f"{name}.npz", start_ns, frames(seed, start_ns, 20, feature_sets))


def label(folder, rows):
    (folder / "labels.csv").write_text("\n".join([HEADER, *rows]) + "\n")


def test_people_modalities_and_blocks(folder):
    data = load_data_set(str(folder))
    assert (data.name, data.codes, data.steps, data.gap_s) == ("sessions", ("C1", "C2"), 10, 20.0)
    assert data.modalities == (Modality.FACE, Modality.PHYSIOLOGY)
    assert data.features[Modality.PHYSIOLOGY] == PHYSIOLOGY
    first, second = data.people
    assert np.unique(first.blocks).tolist() == [0, 1], "monday and tuesday"
    assert np.unique(second.blocks).tolist() == [0], "three seconds without a label are no break"
    assert first.times_s[first.blocks == 1][0] == pytest.approx(86_402.5, abs=1)


def test_a_window_has_the_level_of_the_second_that_it_shows(folder):
    first, second = load_data_set(str(folder)).people
    monday = first.blocks == 0
    assert np.array_equal(first.labels[monday], np.where(first.times_s[monday] < 10, 0, 2))
    assert (np.abs(first.times_s[monday] - 10) >= 0.5 - 1e-6).all(), "none lies across the border"
    assert set(first.labels[~monday]) == {1}
    assert not ((second.times_s > 11.5 + 1e-6) & (second.times_s < 15.5 - 1e-6)).any()


def test_windows_are_those_of_the_live_graph(folder):
    (first, _) = load_data_set(str(folder)).people
    recording = read_recording(folder / "monday.npz")
    stream = WindowStream({Modality.FACE: "mediapipe-face", Modality.PHYSIOLOGY: "e4"})
    live = {
        round((window.end_ns - START_NS) / 1e8): {
            m: (window.features[m].copy(), window.mask[m].copy()) for m in window.mask
        }
        for window in stream.replay(recording.frames(), START_NS)
    }
    for row in np.flatnonzero(first.blocks == 0):
        for modality, (features, mask) in live[round((first.times_s[row] + 0.5) * 10)].items():
            assert np.array_equal(first.features[modality][row], features)
            assert np.array_equal(first.mask[modality][row], mask)


def test_a_face_that_looks_away_is_missing_and_so_is_a_sensor_that_was_not_there(folder):
    first, second = load_data_set(str(folder)).people
    away = (first.blocks == 0) & (first.times_s > 6.0) & (first.times_s < 6.9)
    assert away.any()
    assert not first.heard(Modality.FACE)[away].any()
    assert first.heard(Modality.PHYSIOLOGY).all()
    assert not second.mask[Modality.FACE].any()
    assert not second.features[Modality.FACE].any()


def test_who_was_of_one_level_only_is_kept_and_named(folder):
    label(folder, [*ROWS[:3], "C2,other,0,12,low"])
    assert recordings.load(folder).repairs == ("C2 has windows of 'low' only; kept, as such people exist",)


def test_a_name_is_no_code_of_a_person(folder):
    """It would stand in the card of the model, and in reports."""
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace("C2,", "Anna Berg,"))
    with pytest.raises(DataError, match="column 'person': 'Anna Berg' is no code of a participant"):
        recordings.load(folder)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("C2,other,13,14,hihg", r"line 7, column 'level': 'hihg' is no level; .*did you mean 'high'"),
        ("C2,othr,13,14,low", r"line 7, column 'recording': there is no recording 'othr'.*did you mean 'other'"),
        ("C1,other,13,14,low", r"line 7, column 'person': 'other' is of another person in line 5"),
        ("C2,other,11,14,low", r"line 7, column 'start_s': it begins before line 5 ends"),
        ("C2,other,14,13,low", r"line 7, column 'start_s': from 14 to 13 s is no stretch"),
        ("C2,other,-1,13,low", r"line 7, column 'start_s': from -1 to 13 s is no stretch"),
        ("C2,other,,14,low", r"line 7, column 'start_s': from nan to 14 s is no stretch"),
        ("C2,other,25,26,low", r"line 7, column 'start_s': 'other' lasts 20.0 s only"),
        ("C2,other,13", "line 7: found 3 cells, expected 5"),
    ],
)
def test_a_wrong_row_of_labels_is_refused_with_its_line(folder, row, problem):
    label(folder, [*ROWS, row])
    with pytest.raises(DataError, match=problem):
        recordings.load(folder)


def test_rows_in_any_order_are_the_same_labels(folder):
    before = recordings.load(folder).fingerprint()
    label(folder, ROWS[::-1])
    assert recordings.load(folder).fingerprint() == before


def test_a_missing_column_is_named(folder):
    (folder / "labels.csv").write_text("person,recording,start_s,end,level\nC1,monday,0,1,low\n")
    with pytest.raises(DataError, match="end_s"):
        recordings.load(folder)


def test_labels_that_no_window_fits_into_are_refused(folder):
    label(folder, [*ROWS[:3], "C2,other,3,3.8,low"])
    with pytest.raises(DataError, match="no window of 'C2' lies within a label"):
        recordings.load(folder)


def test_a_recording_that_was_cut_off_is_refused(folder):
    file = folder / "other.npz"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"other.npz is no recording of features"):
        recordings.load(folder)


def test_recordings_of_different_tools_are_not_mixed(folder):
    write(folder, "tuesday", 2, START_NS + DAY_NS, {Modality.FACE: "openface-2"})
    with pytest.raises(DataError, match="face is 'openface-2' in tuesday and 'mediapipe-face' in monday"):
        recordings.load(folder)


def test_nobody_is_in_two_recordings_at_once(folder):
    write(folder, "tuesday", 2, START_NS, {Modality.FACE: "mediapipe-face"})
    with pytest.raises(DataError, match="monday and tuesday of 'C1' begin at the same moment"):
        recordings.load(folder)


def test_recordings_that_were_scored_faster_than_real_time_are_laid_one_after_the_other(folder):
    """`mmal run --fast` begins each when it is run: minutes of stamps within seconds."""
    apart = recordings.load(folder).people[0]
    both = {Modality.FACE: "mediapipe-face", Modality.PHYSIOLOGY: "e4"}
    write(folder, "tuesday", 2, START_NS + NANOSECONDS_PER_SECOND, both)
    data = recordings.load(folder)
    assert data.repairs[0] == "C1's recordings overlap in time, as those made with --fast do; laid one after the other"
    first = data.people[0]
    assert (first.blocks == apart.blocks).all()
    assert (first.labels == apart.labels).all()
    monday, tuesday = (first.times_s[first.blocks == block] for block in (0, 1))
    assert tuesday[0] - monday[-1] >= GAP_S
    assert tuesday - tuesday[0] == pytest.approx(apart.times_s[apart.blocks == 1] - apart.times_s[apart.blocks == 1][0])


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"labels.csv: cannot be opened"):
        load_data_set(str(tmp_path))
