"""A data set by its name or its path; what is misspelt is guessed."""

from __future__ import annotations

import numpy as np
import pytest

from mmal_ros.training.data import ADAPTERS, load_data_set
from mmal_ros.training.data.missing import held
from mmal_ros.training.data.rows import in_order
from mmal_ros.training.people import DataError


def test_a_misspelt_name_is_guessed():
    with pytest.raises(DataError, match="did you mean 'swell-kw'"):
        load_data_set("swell_kw")
    with pytest.raises(DataError, match="did you mean 'cohort'"):
        load_data_set("kohort")


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_published_set_needs_a_folder(name):
    with pytest.raises(DataError, match="say in which folder"):
        load_data_set(name)


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be opened"):
        load_data_set(str(tmp_path / "study.yaml"))
    with pytest.raises(DataError, match="no folder of recordings"):
        load_data_set(str(tmp_path / "study"))
    with pytest.raises(DataError, match="'~nobody-there/x' is no data set"):
        load_data_set("~nobody-there/x")


def test_people_stand_in_the_order_of_their_numbers():
    assert in_order(["PP10", "PP2", "PP1", "PP2", "child"]) == ["PP1", "PP2", "PP10", "child"]


def test_before_the_first_measurement_stands_what_is_typical():
    nan = np.nan
    values = np.array([[[nan, 1.0]], [[5.0, 2.0]], [[nan, 3.0]], [[nan, nan]]])
    features, mask, count = held(values, np.array([7.0, 8.0]))
    assert features[:, 0].tolist() == [[7, 1], [5, 2], [5, 3], [0, 0]]
    assert mask[:, 0].tolist() == [1, 1, 1, 0]
    assert count == 2
