"""Why a window is flagged, as a therapist reads it; the numbers beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmal_ros.selector.live_coverage import why
from mmal_ros.selector.reasons import LIKE_MUCH, NAMES, NOBODY_SURE, OFTEN_WRONG, TYPICAL, UNLIKE, doubt

LOW, HIGH = [0.9, 0.05, 0.05], [0.05, 0.05, 0.9]
RATHER_LOW, RATHER_HIGH = [0.7, 0.2, 0.1], [0.1, 0.2, 0.7]
HARDLY_HIGH, NO_IDEA = [0.2, 0.3, 0.5], [1 / 3, 1 / 3, 1 / 3]


def said(*probabilities, heard=(1, 1, 1, 1)) -> str:
    """Of face, body, wristband and voice."""
    return doubt(np.array(probabilities, np.float32), np.array(heard, bool), OFTEN_WRONG)


@pytest.mark.parametrize(
    ("window", "heard", "phrase"),
    [
        ((HIGH, HIGH, HIGH, LOW), (1, 1, 1, 1), None),
        ((HIGH, RATHER_HIGH, RATHER_HIGH, LOW), (1, 1, 1, 1), "face and voice disagree"),
        ((LOW, HIGH, RATHER_LOW, RATHER_HIGH), (1, 1, 1, 1), "face and body disagree"),
        ((LOW, HIGH, LOW, HARDLY_HIGH), (1, 0, 1, 1), None),
        ((LOW, HIGH, LOW, RATHER_HIGH), (0, 0, 1, 1), "wristband and voice disagree"),
        ((HARDLY_HIGH, HARDLY_HIGH, HARDLY_HIGH, LOW), (1, 1, 1, 0), NOBODY_SURE),
        ((HIGH, HARDLY_HIGH, RATHER_HIGH, HIGH), (1, 1, 1, 1), "body is not sure"),
        ((HARDLY_HIGH, HIGH, HIGH, HIGH), (1, 0, 0, 0), "face is not sure"),
        ((HIGH, HIGH, RATHER_HIGH, HIGH), (1, 1, 1, 1), OFTEN_WRONG),
    ],
)
def test_what_makes_the_answer_doubtful(window, heard, phrase) -> None:
    if phrase is None:
        assert "disagree" in said(*window, heard=heard)
    else:
        assert said(*window, heard=heard) == phrase


def test_what_is_not_heard_is_not_spoken_of() -> None:
    assert said(HIGH, LOW, LOW, LOW, heard=(1, 0, 0, 0)) == OFTEN_WRONG


WINDOWS = hnp.arrays(np.float32, (4, 3), elements=st.floats(0.0625, 1, width=32))


@given(WINDOWS, hnp.arrays(bool, 4).filter(lambda heard: heard.any()))
def test_two_that_are_said_to_disagree_do(raw, heard) -> None:
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    phrase = doubt(probabilities, heard, OFTEN_WRONG)
    levels = {name: int(row.argmax()) for name, row, there in zip(NAMES, probabilities, heard, strict=True) if there}
    if phrase.endswith(" disagree"):
        one, other = phrase.removesuffix(" disagree").split(" and ")
        assert levels[one] != levels[other]
    else:
        assert len(set(levels.values())) == 1


def why_of(away, covered, earlier) -> str:
    return why(np.array(away, float), np.array(covered, float), np.array(earlier, bool), scale=1.0)


def test_in_the_first_slice_there_is_nothing_to_compare_with() -> None:
    assert why_of([0, 0.1], [1, 0.9], [0, 0]) == TYPICAL


def test_far_from_all_that_was_before_the_slice() -> None:
    assert why_of([5, 4, 0.1, 0], [0, 0, 0.9, 1], [1, 1, 0, 0]) == UNLIKE


def test_near_much_of_what_was_before_and_is_not_covered() -> None:
    assert why_of([0.1, 0.1, 0.2, 0], [0.9, 0.9, 0.2, 1], [1, 1, 0, 0]) == LIKE_MUCH


def test_near_what_was_before_but_that_is_covered_already() -> None:
    assert why_of([0.1, 0.1, 0.2, 0], [0, 0, 0.2, 1], [1, 1, 0, 0]) == TYPICAL
