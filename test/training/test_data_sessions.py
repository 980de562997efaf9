"""Recorded and reviewed sessions as a data set: `mmal train` and `mmal evaluate` learn from what `mmal review` made."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmal_ros.session.records import LabelValue
from mmal_ros.training.data import load_data_set
from mmal_ros.training.people import DataError, DataSet
from rigs.labelled_sessions import label, write_session
from rigs.sessions import level_at


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two participants with labels, one of them in two sessions, and one whom nobody could tell."""
    root = tmp_path_factory.mktemp("sessions")
    for code, seed in (("P001", 1), ("P002", 2), ("P001", 3), ("P003", 4)):
        session = write_session(root, code, seed, minutes=1)
        if code == "P003":
            label(session, seed, [10, 20], value=LabelValue.CANNOT_TELL)
        else:
            label(session, seed, range(5, 55, 5))
    return root


@pytest.fixture(scope="module")
def data(folder: Path) -> DataSet:
    return load_data_set(str(folder))


def test_everybody_with_labels_that_count_is_in_it(data: DataSet) -> None:
    assert data.codes == ("P001", "P002")
    assert [len(person) for person in data.people] == [20, 10]
    assert len(np.unique(data.people[0].blocks)) == 2
    assert any("P003 is left out" in repair for repair in data.repairs)
    assert set(data.feature_sets) == set(data.modalities)


def test_it_tells_which_windows_of_whom_were_labelled(folder: Path, data: DataSet) -> None:
    """For the card of a group: no label that it has learned from can tell whether a child's own model is better."""
    names = {code: sorted(path.name for path in folder.glob(f"*_{code}_*")) for code in data.codes}
    assert {code: sorted(sessions) for code, sessions in data.labelled.items()} == names
    assert [len(ends) for ends in data.labelled["P001"].values()] == [10, 10]


def test_the_labels_are_those_that_were_given(data: DataSet) -> None:
    assert data.people[1].labels.tolist() == [int(level_at(2, end_s - 1)) for end_s in range(5, 55, 5)]


def test_a_folder_in_which_nothing_was_labelled_is_refused(tmp_path: Path) -> None:
    write_session(tmp_path, "P001", 1, minutes=0.5)
    with pytest.raises(DataError, match="label some with `mmal review`"):
        load_data_set(str(tmp_path))


def test_a_session_without_labels_keeps_nobody_from_learning(folder: Path, data: DataSet, tmp_path: Path) -> None:
    """It may be running, damaged, or of another feature set."""
    shutil.copytree(folder, tmp_path / "all")
    new = write_session(tmp_path / "all", "P004", 5, minutes=0.2)
    for part in new.bag.iterdir():
        part.write_bytes(b"still being written")
    assert load_data_set(str(tmp_path / "all")).fingerprint() == data.fingerprint()


def test_a_damaged_session_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "2026-11-20_P009_01").mkdir()
    (tmp_path / "2026-11-20_P009_01/session.json").write_text("{")
    with pytest.raises(DataError, match="P009_01"):
        load_data_set(str(tmp_path))
