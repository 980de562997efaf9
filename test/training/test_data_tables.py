"""Somebody brings a table of their own and a few lines that say which column is what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from mmal_ros.datatypes import Modality
from mmal_ros.training.data import load_data_set, tables
from mmal_ros.training.people import DataError

LAYOUT = {
    "name": "study",
    "source": "made for this test",
    "file": "study.csv",
    "person": "child",
    "time": "second",
    "label": "engagement",
    "classes": ["low", "medium", "high"],
    "labels": {-1: "low", 0: "medium", 1: "high", 9: None},
    "block": "session",
    "gap_s": 3,
    "missing": [999],
    "modalities": {"face": ["AU*", "gaze"], "physiology": ["eda"]},
}


def study():
    """Two children, two sessions each, ten windows a session."""
    rng = np.random.default_rng(3)
    rows = [(child, session, second) for child in ("C1", "C2") for session in (1, 2) for second in range(10)]
    table = pd.DataFrame(rows, columns=["child", "session", "second"])
    for name in ("AU01", "AU02", "gaze", "eda", "note"):
        table[name] = rng.normal(size=len(table)).round(4)
    table["engagement"] = rng.integers(-1, 2, len(table))
    return table


@pytest.fixture
def load(tmp_path):
    def write_and_load(table, **changes):
        layout = {key: value for key, value in {**LAYOUT, **changes}.items() if value is not ...}
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(layout))
        if str(layout["file"]).endswith(".parquet"):
            table.to_parquet(tmp_path / "study.parquet")
        else:
            table.to_csv(tmp_path / "study.csv", index=False)
        return load_data_set(str(tmp_path / "study.yaml"))

    return write_and_load


def test_columns_become_modalities(load):
    table = study()
    data = load(table)
    assert data.features == {Modality.FACE: ("AU01", "AU02", "gaze"), Modality.PHYSIOLOGY: ("eda",)}
    assert (data.codes, data.steps, data.gap_s) == (("C1", "C2"), 1, 3.0)
    (first, _) = data.people
    assert first.labels.tolist() == (table.engagement[:20] + 1).tolist()
    assert first.blocks.tolist() == [0] * 10 + [1] * 10
    assert np.array_equal(first.features[Modality.PHYSIOLOGY][:, 0, 0], table.eda[:20].to_numpy(np.float32))


def test_sessions_that_each_begin_at_zero_are_laid_one_after_the_other(load):
    """Else a label of one session would speak for the same second of another."""
    table = study()
    data = load(table)
    assert data.repairs == ("2 people had recordings that each count from their own zero; laid one after the other",)
    assert data.people[0].times_s.tolist() == [*range(10), *range(12, 22)]
    table.second += 1000 * table.session
    assert load(table).repairs == ()


def test_parquet_says_the_same_as_csv(load):
    assert load(study(), file="study.parquet").fingerprint() == load(study()).fingerprint()


def test_arrays_say_the_same_as_csv(load, tmp_path):
    table = study()
    arrays = {name: table[name].to_numpy() for name in ("session", "second", "engagement", "eda")}
    arrays["child"] = table.child.to_numpy(str)
    arrays["eda"] = arrays["eda"][:, np.newaxis]
    np.savez(tmp_path / "study.npz", AU=table[["AU01", "AU02", "gaze"]].to_numpy(), **arrays)
    by_arrays = load(table, file="study.npz", modalities={"face": ["AU"], "physiology": ["eda"]})
    by_columns = load(table)
    assert by_arrays.features[Modality.FACE] == ("AU_0", "AU_1", "AU_2")
    for one, other in zip(by_arrays.people, by_columns.people, strict=True):
        assert np.array_equal(one.features[Modality.FACE], other.features[Modality.FACE])
        assert np.array_equal(one.labels, other.labels)


def test_arrays_of_ten_steps_keep_them_and_their_gaps(load, tmp_path):
    table = study()
    face = np.random.default_rng(0).normal(size=(40, 10, 3))
    face[4, 6:] = np.nan
    np.savez(
        tmp_path / "study.npz",
        face=face,
        child=table.child.to_numpy(str),
        **{name: table[name].to_numpy() for name in ("session", "second", "engagement")},
    )
    data = load(table, file="study.npz", modalities={"face": ["face"]})
    assert data.steps == 10
    assert data.people[0].mask[Modality.FACE][4].tolist() == [1] * 6 + [0] * 4
    assert data.people[0].heard(Modality.FACE)[4]


def test_labels_are_understood_however_numbers_are_written(load):
    table = study()
    table["engagement"] = table.engagement.map({-1: "-1.0", 0: "0", 1: "1.00"})
    assert load(table).fingerprint() == load(study()).fingerprint()


def test_rows_whose_label_leads_to_nothing_are_left_out(load):
    table = study()
    table.loc[[2, 5], "engagement"] = 9
    data = load(table)
    assert len(data.people[0]) == 18
    assert data.repairs[0].startswith("2 rows whose label leads to null")


def test_a_missing_modality_and_a_single_missing_number(load):
    table = study()
    table["AU01"] = table.AU01.astype(object)
    table.loc[3, ["AU01", "AU02"]] = ["", 999]
    table.loc[4, "AU01"] = np.nan
    person = load(table).people[0]
    assert person.mask[Modality.FACE][:6, 0].tolist() == [1, 1, 1, 0, 1, 1]
    assert person.features[Modality.FACE][4, 0, 0] == np.float32(table.AU01[2])


def test_without_a_block_a_long_silence_begins_one(load):
    table = study()
    table["second"] += (table.session - 1) * 1000
    assert load(table, block=...).people[0].blocks.tolist() == [0] * 10 + [1] * 10


def test_rows_in_any_order_are_sorted(load):
    table = study()
    shuffled = table.sample(frac=1, random_state=1).sort_values(["child", "session"], kind="stable")
    data = load(shuffled)
    assert data.fingerprint() == load(table).fingerprint()
    assert "sorted within their stretch" in data.repairs[0]


def test_a_child_of_one_class_is_kept_and_named(load):
    table = study()
    table.loc[table.child == "C2", "engagement"] = 0
    assert "C2 has windows of 'medium' only; kept, as such people exist" in load(table).repairs


def test_an_unknown_label_is_refused_with_its_line(load):
    table = study()
    table.loc[10, "engagement"] = 7
    with pytest.raises(DataError, match=r"study.csv, line 12, column 'engagement': found '7', expected a label"):
        load(table)


def test_two_windows_at_one_time_are_refused_with_both_lines(load):
    table = study()
    table.loc[6, "second"] = 5
    with pytest.raises(DataError, match=r"line 8: 'C1' has a window at 5 s already \(line 7\)"):
        load(table)


@pytest.mark.parametrize(
    ("column", "problem"), [("second", "line 4: there is no time"), ("child", "line 4, .* no code")]
)
def test_a_row_without_a_time_or_a_child_is_refused(load, column, problem):
    table = study().astype({"second": object})
    table.loc[2, column] = None
    with pytest.raises(DataError, match=problem):
        load(table)


@pytest.mark.parametrize(("number", "word"), [(np.inf, "inf"), (-1e300, r"-1e\+300")])
def test_a_number_that_features_cannot_hold_is_refused(load, number, word):
    table = study()
    table.loc[2, "eda"] = number
    with pytest.raises(DataError, match=f"line 4, column 'eda': found {word}, expected a finite number"):
        load(table)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"person": "chlid"}, "chlid; did you mean child"),
        ({"time": "secnd"}, "secnd; did you mean second"),
        ({"modalities": {"face": ["AU*", "gase"]}}, "no column is called 'gase'.*did you mean 'gaze'"),
        ({"modalities": {"face": ["XY*"]}}, r"no column is called 'XY\*'"),
        ({"modalities": {"face": ["AU*"], "audio": ["AU01"]}}, "'AU01' is both of face and of audio"),
        ({"modalities": {"voice": ["AU*"]}}, "modalities.voice"),
        ({"labels": {-1: "low", 0: "medum", 1: "high"}}, "did you mean 'medium'"),
        ({"labels": {-1: "low", 1: "high"}}, "no label leads to the class 'medium'"),
        ({"classes": ["one"]}, "classes"),
        ({"gap": 3}, "gap: Extra inputs.*did you mean 'gap_s'"),
        ({"gap_s": -1}, "gap_s"),
        ({"file": "study.xlsx"}, "not of a kind that is read"),
        ({"label": ...}, "label: Field required"),
    ],
)
def test_what_is_wrong_in_the_description_is_named(load, changes, problem):
    with pytest.raises(DataError, match=problem):
        load(study(), **changes)


def test_a_column_of_words_is_no_feature(load):
    table = study()
    table["gaze"] = "left"
    with pytest.raises(DataError, match="line 2, column 'gaze': found 'left'"):
        load(table)
    with pytest.raises(DataError, match="column 'gaze': found values of type"):
        load(table, file="study.parquet")


@pytest.mark.parametrize("name", ["study.csv", "study.parquet", "study.npz"])
def test_files_that_were_cut_off_are_refused(load, tmp_path, name):
    table = study()
    load(table, file="study.parquet" if name == "study.parquet" else "study.csv")
    if name == "study.npz":
        np.savez(tmp_path / name, eda=table[["eda"]].to_numpy(), second=table.second.to_numpy())
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**LAYOUT, "file": name}))
    with pytest.raises(DataError, match=r"expected 9 as in the header|damaged|not a whole one"):
        tables.load(tmp_path / "study.yaml")


def test_arrays_of_other_lengths_are_refused(load, tmp_path):
    table = study()
    keys = {name: table[name].to_numpy() for name in ("session", "second", "engagement")}
    np.savez(tmp_path / "study.npz", child=table.child.to_numpy(str), face=np.zeros((39, 2)), **keys)
    with pytest.raises(DataError, match=r"array 'face' is \(39, 2\), expected \(40, D\) or \(40, T, D\)"):
        load(table, file="study.npz", modalities={"face": ["face"]})
    with pytest.raises(DataError, match="arrays are missing: kid"):
        load(table, file="study.npz", person="kid", modalities={"face": ["face"]})


def test_no_yaml_is_refused(tmp_path):
    (tmp_path / "study.yaml").write_text("name: [")
    with pytest.raises(DataError, match="this is no YAML"):
        tables.load(tmp_path / "study.yaml")
