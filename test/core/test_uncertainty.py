"""Uncertainty is arithmetic: checked against the formula, in double precision and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmal_ros.datatypes import FloatArray
from mmal_ros.uncertainty import confidence, entropy

NO_IDEA = np.full(3, 1 / 3, np.float32)
SURE = np.array([0, 1, 0], np.float32)


@st.composite
def distributions(draw: st.DrawFn) -> FloatArray:
    weights = draw(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3).filter(lambda w: sum(w) > 1e-3))
    return (np.array(weights) / sum(weights)).astype(np.float32)


def test_no_idea_and_certainty_are_the_ends_of_the_scale() -> None:
    assert entropy(NO_IDEA) == pytest.approx(math.log(3), abs=1e-6)
    assert entropy(SURE) == 0
    assert confidence(NO_IDEA) == pytest.approx(0, abs=1e-6)
    assert confidence(SURE) == 1


def test_two_equal_levels_by_hand() -> None:
    half = np.array([0.5, 0.5, 0], np.float32)
    assert entropy(half) == pytest.approx(math.log(2), abs=1e-6)
    assert confidence(half) == pytest.approx(1 - math.log(2) / math.log(3), abs=1e-6)


@given(distributions())
@example(np.array([0.3333324, 0.33332714, 0.3333405], np.float32))  # rounding alone takes it below 0
def test_confidence_is_the_formula_and_stays_between_0_and_1(probabilities: FloatArray) -> None:
    in_doubles = [float(p) for p in probabilities]
    expected = 1 + sum(p * math.log(p) for p in in_doubles if p > 0) / math.log(3)
    assert confidence(probabilities) == pytest.approx(expected, abs=2e-6)
    assert 0 <= confidence(probabilities) <= 1


@given(st.lists(distributions(), min_size=1, max_size=9))
def test_many_at_once_are_bitwise_those_one_by_one(rows: list[FloatArray]) -> None:
    together = confidence(np.stack(rows))
    assert together.shape == (len(rows),)
    assert together.dtype == np.float32
    assert together.tolist() == [float(confidence(row)) for row in rows]
