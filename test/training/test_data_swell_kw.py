"""Fifteen office workers, minute by minute: their real gaps become missing modalities, and damage is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mmal_ros.datatypes import Modality
from mmal_ros.training.data import load_data_set, swell_kw
from mmal_ros.training.people import DataError


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "swell-kw"


@pytest.fixture(scope="module")
def data(folder):
    return load_data_set("swell-kw", folder)


@pytest.fixture
def damaged(folder, tmp_path):
    """A copy of three people as lines of cells, and a function that writes it back and reads the set."""
    lines = [line.split(",") for line in (folder / swell_kw.FILE).read_text().splitlines()]
    lines = [cells for cells in lines if cells[0] in ("PP", "PP1", "PP2", "PP3")]

    def read():
        (tmp_path / swell_kw.FILE).write_text("\n".join(",".join(cells) for cells in lines) + "\n")
        return swell_kw.load(tmp_path)

    return lines, read


def at(lines, name):
    return lines[0].index(name)


def first_row(lines, person, condition):
    return next(row for row, cells in enumerate(lines) if cells[0] == person and cells[2] == condition)


def test_everybody_is_there_in_the_order_of_their_numbers(data):
    assert data.codes[:3] == ("PP1", "PP2", "PP3")
    assert data.codes[9] == "PP10"
    assert {modality: len(names) for modality, names in data.features.items()} == {
        Modality.FACE: 41,
        Modality.BODY: 94,
        Modality.PHYSIOLOGY: 3,
    }
    assert (data.steps, data.gap_s, data.classes[0]) == (1, 120.0, "neutral")


def test_relaxing_is_left_out_and_nothing_else(data, folder):
    table = pd.read_csv(folder / swell_kw.FILE)
    counted = table[table.Condition != "R"].groupby("PP").size()
    assert {person.code: len(person) for person in data.people} == counted.to_dict()


def test_each_condition_is_one_block_of_consecutive_minutes(data):
    for person in data.people:
        for block in np.unique(person.blocks):
            assert len(np.unique(person.labels[person.blocks == block])) == 1
            assert set(np.diff(person.times_s[person.blocks == block])) == {60.0}
        assert person.times_s.min() == 0


def test_who_has_no_heart_rate_has_no_physiology(data, folder):
    table = pd.read_csv(folder / swell_kw.FILE)
    for person in data.of(["PP1", "PP8", "PP11"]):
        rows = table[(table.PP.eq(person.code)) & (table.Condition != "R")]
        assert np.array_equal(person.heard(Modality.PHYSIOLOGY), rows.HR.notna())
        assert np.array_equal(person.heard(Modality.FACE), rows.Squality.notna())
    assert not data.of(["PP8"])[0].heard(Modality.PHYSIOLOGY).any()


def test_what_is_not_known_is_zero_and_what_is_known_is_as_in_the_file(data, folder):
    table = pd.read_csv(folder / swell_kw.FILE)
    for person in data.people:
        rows = table[(table.PP.eq(person.code)) & (table.Condition != "R")]
        for modality in data.modalities:
            heard = person.heard(modality)
            assert not person.features[modality][~heard].any()
            written = rows[list(data.features[modality])].to_numpy(np.float32)[heard]
            read = person.features[modality][heard][:, 0]
            assert np.array_equal(read[~np.isnan(written)], written[~np.isnan(written)])


def test_neither_the_self_reports_nor_the_keyboard_are_features(data):
    names = {name for some in data.features.values() for name in some}
    assert not names & {"Stress", "MentalEffort", "NasaTLX", "SnKeyStrokes", "SnAppChange", "ErrorKeyRatio"}


def test_a_single_missing_number_holds_the_last_one_before_it(damaged):
    lines, read = damaged
    row = first_row(lines, "PP3", "N")
    column = at(lines, "leanAngleavg")
    lines[row + 4][column] = "NaN"
    person = read().of(["PP3"])[0]
    values = person.features[Modality.BODY][:, 0, swell_kw.BODY.index("leanAngleavg")]
    assert values[4] == values[3] == np.float32(lines[row + 3][column])
    assert person.heard(Modality.BODY)[4]


def test_999_is_no_heart_rate(damaged):
    lines, read = damaged
    row = first_row(lines, "PP2", "N")
    lines[row][at(lines, "HR")] = lines[row][at(lines, "RMSSD")] = "999"
    assert not read().of(["PP2"])[0].heard(Modality.PHYSIOLOGY)[0]


def test_an_unknown_condition_is_refused_with_its_line(damaged):
    lines, read = damaged
    lines[50][at(lines, "Condition")] = "X"
    with pytest.raises(DataError, match=r"line 51, column 'Condition': found 'X'.*N, I, T, R"):
        read()


def test_a_time_that_was_cut_off_is_refused_with_its_line(damaged):
    lines, read = damaged
    lines[9][at(lines, "timestamp")] = "20120918T132"
    with pytest.raises(DataError, match=r"line 10, column 'timestamp': found '20120918T132'"):
        read()


def test_a_missing_column_is_named_with_what_was_meant(damaged):
    lines, read = damaged
    lines[0][at(lines, "leanAngleavg")] = "leanAngelavg"
    with pytest.raises(DataError, match="leanAngleavg; did you mean leanAngelavg"):
        read()


def test_a_minute_that_is_there_twice_is_refused(damaged):
    lines, read = damaged
    row = first_row(lines, "PP3", "T")
    lines.insert(row + 1, list(lines[row]))
    with pytest.raises(DataError, match=rf"line {row + 2}: 'PP3' has a window at .* already \(line {row + 1}\)"):
        read()


def test_minutes_out_of_order_are_sorted_and_the_report_says_so(damaged):
    lines, read = damaged
    data = read()
    row = first_row(lines, "PP1", "N")
    lines[row], lines[row + 1] = lines[row + 1], lines[row]
    mended = read()
    assert mended.fingerprint() == data.fingerprint()
    assert any("1 rows were earlier" in repair for repair in mended.repairs)


def test_who_went_through_one_condition_only_is_kept_and_named(damaged):
    lines, read = damaged
    lines[:] = [cells for cells in lines if cells[0] != "PP2" or cells[2] == "T"]
    data = read()
    assert "PP2" in data.codes
    assert any("PP2 has windows of 'time pressure' only" in repair for repair in data.repairs)


def test_a_break_of_some_minutes_begins_another_block(damaged):
    lines, read = damaged
    row = first_row(lines, "PP3", "I")
    del lines[row + 10 : row + 13]
    assert len(np.unique(read().of(["PP3"])[0].blocks)) == 4


def test_a_file_that_ends_in_the_middle_of_a_row_is_refused(damaged):
    lines, read = damaged
    del lines[-1][100:]
    with pytest.raises(DataError, match="found 100 cells, expected 172"):
        read()


def test_a_number_that_is_none_is_refused(damaged):
    lines, read = damaged
    lines[20][at(lines, "Shappy")] = "0,1".replace(",", ";")
    with pytest.raises(DataError, match="line 21, column 'Shappy'"):
        read()


def test_an_infinite_number_is_refused(damaged):
    lines, read = damaged
    lines[20][at(lines, "Shappy")] = "inf"
    with pytest.raises(DataError, match="line 21, column 'Shappy': found inf, expected a finite number"):
        read()


def test_the_wrong_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be opened"):
        swell_kw.load(tmp_path)


def test_other_numbers_are_other_data(damaged):
    lines, read = damaged
    before = read().fingerprint()
    assert read().fingerprint() == before
    lines[first_row(lines, "PP2", "N")][at(lines, "Shappy")] = "0.5"
    assert read().fingerprint() != before
