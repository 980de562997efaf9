"""Scores agree with scikit-learn's, the constant stands beside them, and intervals hold as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from mmal_ros.training.evaluation.bootstrap import band, expanded_level
from mmal_ros.training.evaluation.curves import area_under_curve, labels_to_reach
from mmal_ros.training.evaluation.settings import COLUMNS
from mmal_ros.training.metrics import NO_ANSWER, constant, majority, score, score_columns

levels = st.integers(0, 2)


@given(st.lists(st.tuples(levels, levels), min_size=1, max_size=50))
def test_scores_are_those_of_scikit_learn(pairs):
    truth, answers = np.array(pairs).T
    found = score(truth, answers)
    present = sorted(set(truth.tolist()))
    assert found.accuracy == pytest.approx(accuracy_score(truth, answers))
    for labels, value in ((present, found.f1_present), ([0, 1, 2], found.f1_all)):
        assert value == pytest.approx(f1_score(truth, answers, labels=labels, average="macro", zero_division=0))
    assert (found.confusion == confusion_matrix(truth, answers, labels=[0, 1, 2])).all()


def test_a_window_without_an_answer_is_wrong():
    """Four windows, the band was off in the last: three of four right, and no made-up answer in the matrix."""
    found = score(np.array([0, 0, 1, 1]), np.array([0, 0, 1, NO_ANSWER]))
    assert found.accuracy == 0.75
    assert found.f1_present == pytest.approx((1 + 2 / 3) / 2)
    assert found.confusion.sum() == 3


def test_two_classes_are_not_averaged_over_three():
    truth = answers = np.array([0, 1, 1])
    assert score(truth, answers, classes=2).f1_all == 1
    assert score(truth, answers).f1_all == pytest.approx(2 / 3)


def test_a_child_who_is_nearly_always_engaged_makes_the_constant_look_good():
    """20/204/5686 windows of the paper's test child: 96 % right without looking, but F1 says what it is worth."""
    truth = np.repeat([0, 1, 2], [20, 204, 5686])
    found = constant(truth, majority(truth))
    assert found.accuracy == pytest.approx(0.962, abs=1e-3)
    assert found.f1_present == pytest.approx(0.327, abs=1e-3)


def test_the_constant_of_the_pool_may_be_wrong_about_the_test():
    columns = score_columns(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1, 1, 2]))
    assert (columns["constant_accuracy"], columns["pool_constant_accuracy"]) == pytest.approx((2 / 3, 1 / 3))
    assert columns["confusion"] == [1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert {name for name in COLUMNS if name in columns} == {
        *("accuracy", "f1_present", "f1_all", "constant_accuracy", "constant_f1_present", "constant_f1_all"),
        "confusion",
    }


def test_nothing_to_test_is_no_score():
    """The paper's protocol when everything was asked about."""
    nothing = np.array([], np.int64)
    assert math.isnan(score(nothing, nothing).f1_present)
    assert math.isnan(score_columns(nothing, nothing, np.array([1]))["constant_accuracy"])
    with pytest.raises(ValueError, match="no labels"):
        majority(nothing)


def test_fifteen_people_give_an_interval_that_holds():
    """400 studies of 15 people from a skewed population: 95 % intervals hold in about 95 %, plain ones do not."""
    random = np.random.default_rng(1)
    studies = random.beta(2, 4, size=(15, 400))
    found = band(studies)
    holds = np.mean((found.low <= 1 / 3) & (found.high >= 1 / 3))
    assert 0.93 <= holds <= 0.98
    assert expanded_level(15) == pytest.approx(0.9736, abs=1e-3)
    assert expanded_level(10_000) == pytest.approx(0.95, abs=1e-3)


def test_a_band_is_the_same_every_time_and_leaves_out_who_has_no_number():
    values = np.random.default_rng(2).normal(size=(8, 3))
    with_a_hole = np.vstack([values, [np.nan, 1, 2]])
    for first, second in ((band(values), band(values)), (band(values), band(with_a_hole))):
        assert (first.mean == second.mean).all()
        assert (first.low == second.low).all()
        assert (first.high == second.high).all()


@pytest.mark.parametrize("people", [1, 2, 5])
def test_a_handful_of_people_says_nothing_about_others(people):
    """All five are better: that happens by chance in 1 of 16 cases, so no interval may claim it."""
    found = band(np.full((people, 2), [0.5, 0.7]))
    assert found.mean == pytest.approx([0.5, 0.7])
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_nobody_has_no_mean():
    assert np.isnan(band(np.full((3, 2), np.nan)).mean).all()


def test_area_is_the_height_of_the_curve():
    budgets = np.array([5.0, 10, 20, 50, 100])
    assert area_under_curve(budgets, np.full(5, 0.7)) == pytest.approx(0.7)
    assert area_under_curve(budgets, np.log2(budgets)) == pytest.approx(np.log2(budgets[[0, -1]]).mean())
    assert area_under_curve(budgets[:1], np.array([[0.3], [0.4]])).tolist() == [0.3, 0.4]


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([0.6, 0.7, 0.75, 0.79], 22.5), ([0.8, 0.8, 0.8, 0.8], 5), ([0.1, 0.2, 0.3, 0.4], math.inf)],
)
def test_labels_needed_for_a_target(scores, labels):
    """With all labels 0.80: 95 % of it are 0.76, which the prototype's curve reaches between 20 and 30 labels."""
    assert labels_to_reach(np.array([5.0, 10, 20, 30]), np.array(scores), 0.76) == pytest.approx(labels)
