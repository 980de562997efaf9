"""Nobody is tested on a window that she was, or nearly was, asked about."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmal_ros.datatypes import Modality
from mmal_ros.training.data import load_data_set
from mmal_ros.training.evaluation.protocol import random_remainder, time_blocked
from mmal_ros.training.people import DataError, PersonWindows


def person(*blocks: list[float]) -> PersonWindows:
    """Somebody recorded in these blocks: the times of the windows of each."""
    times = np.array([time for block in blocks for time in block], float)
    count = len(times)
    return PersonWindows(
        "P1",
        {Modality.FACE: np.zeros((count, 1, 2), np.float32)},
        {Modality.FACE: np.ones((count, 1), np.float32)},
        np.zeros(count, np.int64),
        times,
        np.repeat(np.arange(len(blocks)), [len(block) for block in blocks]),
    )


def split_far_enough(who: PersonWindows, gap_s: float, pool_share: float = 0.6):
    """The split, after checking what every split must be."""
    split = time_blocked(who, gap_s, pool_share)
    assert len(np.intersect1d(split.pool, split.test)) == 0
    assert (np.diff(split.pool) > 0).all()
    assert (np.diff(split.test) > 0).all()
    for row in split.test:
        pool = split.pool[who.blocks[split.pool] == who.blocks[row]]
        assert len(pool)
        assert (who.times_s[row] - who.times_s[pool] > gap_s).all()
    return split


def test_minutes_of_a_condition_two_minutes_are_dropped():
    """As the prototype split swell-kw: ten windows a minute apart, six may be asked about, two go, two test."""
    split = split_far_enough(person([60.0 * i for i in range(10)]), gap_s=120)
    assert split.pool.tolist() == [0, 1, 2, 3, 4, 5]
    assert split.test.tolist() == [8, 9]


def test_every_block_is_cut_whatever_its_length():
    split = split_far_enough(person(list(range(10)), list(range(100, 105)), list(range(200, 235))), gap_s=1)
    assert split.pool.tolist() == [*range(6), *range(10, 13), *range(15, 36)]
    assert split.test.tolist() == [*range(7, 10), 14, *range(37, 50)]


def test_the_share_is_counted_exactly():
    """29 % of 100 windows are 29, though 0.29 * 100 is a little less for a computer."""
    assert len(split_far_enough(person(list(range(100))), gap_s=5, pool_share=0.29).pool) == 29


def test_a_pause_inside_a_block_can_be_the_gap():
    split = split_far_enough(person([0, 1, 2, 50, 51]), gap_s=10)
    assert (split.pool.tolist(), split.test.tolist()) == ([0, 1, 2], [3, 4])


def test_a_short_block_may_be_asked_about_but_tests_nothing():
    split = split_far_enough(person([0.0], [100, 101, 102], list(range(200, 220))), gap_s=5)
    assert split.pool.tolist() == [0, 1, *range(4, 16)]
    assert split.test.tolist() == [21, 22, 23]


def test_who_was_recorded_too_shortly_is_named():
    with pytest.raises(DataError, match=r"person 'P1': none of 2 blocks .* gap of 60 s"):
        time_blocked(person([0, 1, 2], [9, 10, 11]), 60)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.floats(0.1, 70),
    st.floats(0, 40),
    st.floats(0.05, 0.95),
)
def test_no_recording_leaks_across_the_gap(lengths, hop_s, gap_s, pool_share):
    blocks = [[start * 1e5 + hop_s * i for i in range(length)] for start, length in enumerate(lengths)]
    split_far_enough(person(*blocks, [9e6, 9.1e6]), gap_s, pool_share)  # the last block always has something to test


@pytest.mark.parametrize("name", ["swell-kw", "migrave-engagement"])
def test_real_people_are_split_far_enough(shared_data, name):
    data = load_data_set(name, shared_data / name)
    for who in data.people:
        split = split_far_enough(who, data.gap_s)
        assert set(who.labels[split.test]) <= set(who.labels[split.pool])


def test_the_papers_protocol_tests_what_was_not_asked_about():
    split = random_remainder(person(list(range(6))), np.array([4, 1]))
    assert split.pool.tolist() == [0, 1, 2, 3, 4, 5]
    assert split.test.tolist() == [0, 2, 3, 5]
