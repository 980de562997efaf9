"""Which windows an expert is asked about: the policy's state, criteria and live selectors, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from mmal_ros.engagement import majority_vote
from mmal_ros.model_card import ModelError
from mmal_ros.selector import (
    Best,
    Candidates,
    EvenlyInTime,
    FirstAsked,
    LearnedPolicy,
    Random,
    SelectorError,
    SlicedCoverage,
    StateForm,
    disagreement,
    entropy_sum,
    make_selector,
    margin,
    policy_state,
    vote,
)

NO_IDEA, HALF, SURE = [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]
LN2, LN3 = math.log(2), math.log(3)


def candidates(probabilities=None, heard=None, features=None, count=None) -> Candidates:
    """Candidates of which only what is given matters; `probabilities` (N, M', 3) are of the first M' modalities."""
    count = count or len(next(part for part in (probabilities, features) if part is not None))
    all_probabilities = np.full((count, 4, 3), 1 / 3, np.float32)
    all_heard = np.zeros((count, 4), bool)
    if probabilities is None:
        all_heard[:] = True
    else:
        given_probabilities = np.array(probabilities, np.float32)
        voices = given_probabilities.shape[1]
        all_probabilities[:, :voices] = given_probabilities
        all_heard[:, :voices] = True if heard is None else heard
    if features is None:
        features = np.zeros((count, 2))
    return Candidates(all_probabilities, all_heard, np.array(features, np.float32), np.arange(count, dtype=float))


def utilities(values) -> tuple[Candidates, FirstAsked | Best]:
    """Candidates whose only feature is their utility, and the criterion that reads it."""
    return candidates(features=[[value] for value in values]), lambda c: c.features[:, 0]


# ---------------------------------------------------------------- state of the policy


def one_window() -> tuple[np.ndarray, np.ndarray]:
    """Face has no idea, body doubts between two levels, physiology is sure, the child is silent."""
    garbage = [np.nan, 7, -1]
    return np.array([[NO_IDEA, HALF, SURE, garbage]], np.float32), np.array([[True, True, True, False]])


def test_state_of_the_paper_by_hand() -> None:
    """H of `no idea` is ln 3 = 1.0986, clipped to 1; H of `half` is ln 2."""
    (state,) = policy_state(*one_window(), StateForm.FIDELITY)
    assert state.dtype == np.float32
    assert state == pytest.approx([0, 1 - LN2, 1, 0, *NO_IDEA, *HALF, *SURE, *NO_IDEA], abs=1e-6)


def test_state_of_the_product_by_hand() -> None:
    (state,) = policy_state(*one_window(), StateForm.PRODUCT)
    assert state[3] == 0
    assert state == pytest.approx([0, 1 - LN2 / LN3, 1, 0, *NO_IDEA, *HALF, *SURE, *NO_IDEA, 1, 1, 1, 0], abs=1e-6)


def test_clipping_of_the_paper_hides_the_difference_between_no_idea_and_nearly_none() -> None:
    nearly = np.full((1, 4, 3), [0.4, 0.3, 0.3], np.float32)  # H = 1.0889
    heard = np.ones((1, 4), bool)
    assert policy_state(nearly, heard, StateForm.FIDELITY)[0, 0] == 0
    assert policy_state(nearly, heard, StateForm.PRODUCT)[0, 0] == pytest.approx(1 - 1.0889 / LN3, abs=1e-4)


@pytest.mark.parametrize(("form", "width"), [(StateForm.FIDELITY, 16), (StateForm.PRODUCT, 20)])
def test_a_session_without_windows_has_states_of_the_right_width(form: StateForm, width: int) -> None:
    state = policy_state(np.empty((0, 4, 3), np.float32), np.empty((0, 4), bool), form)
    assert state.shape == (0, width)


# ---------------------------------------------------------------- vote

EIGHTHS = st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda two: sum(two) <= 8)
"""Few different probabilities, so that ties are frequent."""
WINDOWS = st.lists(st.lists(st.tuples(EIGHTHS, st.booleans()), min_size=4, max_size=4), min_size=1, max_size=8)


@given(WINDOWS)
def test_vote_is_the_one_of_the_live_estimate(windows) -> None:
    probabilities = np.array([[[a / 8, b / 8, (8 - a - b) / 8] for (a, b), _ in row] for row in windows], np.float32)
    heard = np.array([[there for _, there in row] for row in windows])
    live = [majority_vote(list(p[h])) for p, h in zip(probabilities, heard, strict=True)]
    assert vote(probabilities, heard).tolist() == [-1 if level is None else level for level in live]


# ---------------------------------------------------------------- criteria


def test_entropy_is_summed_over_the_modalities_heard() -> None:
    found = entropy_sum(candidates([[NO_IDEA, HALF, SURE], [NO_IDEA, HALF, SURE]], heard=[[1, 1, 1], [0, 1, 1]]))
    assert found == pytest.approx([LN3 + LN2, LN2], abs=1e-6)


def test_margin_is_of_the_mean_of_the_modalities_heard() -> None:
    """Mean of (.6 .3 .1) and (.2 .3 .5) is (.4 .3 .3): the lead is .1. The first alone leads by .3."""
    both = [[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]]
    assert margin(candidates([both, both], heard=[[1, 1], [1, 0]])) == pytest.approx([-0.1, -0.3], abs=1e-6)


def test_disagreement_is_the_entropy_of_the_votes() -> None:
    low, medium, high = [0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.0, 0.1, 0.9]
    found = disagreement(
        candidates(
            [[low, low, low], [low, medium, high], [low, medium, low], [low, medium, low]],
            heard=[[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1]],
        )
    )
    assert found == pytest.approx([0, LN3, LN2, 0], abs=1e-6)


# ---------------------------------------------------------------- trained policies


def policy_file(path: Path, weights: np.ndarray, output: str, state: str = "state") -> Path:
    """A linear policy as ONNX: output = state @ weights."""
    inputs = [helper.make_tensor_value_info(state, TensorProto.FLOAT, ["windows", weights.shape[0]])]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["windows", weights.shape[1]])]
    constant = helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.astype(np.float32).ravel())
    node = helper.make_node("MatMul", [state, "weights"], [output])
    graph = helper.make_graph([node], "policy", inputs, outputs, [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_q_policy_prefers_asking_where_q_of_asking_is_higher(tmp_path: Path) -> None:
    """Q(ask) = 2, Q(no) = confidence of the face times 3: sure 3, no idea 0."""
    weights = np.zeros((20, 2))
    weights[16, 0], weights[0, 1] = 2, 3  # 16: the face is heard, so always 1
    policy = LearnedPolicy(policy_file(tmp_path / "selector.onnx", weights, "q_values"))
    assert policy.form is StateForm.PRODUCT
    assert policy(candidates([[SURE], [NO_IDEA]])) == pytest.approx([-1, 2], abs=1e-5)


def test_control_asks_where_the_vote_is_right_with_less_than_0_475(tmp_path: Path) -> None:
    weights = np.zeros((16, 1))
    weights[4] = 1  # p(right) is the first probability of the face
    policy = LearnedPolicy(policy_file(tmp_path / "right.onnx", weights, "probability_right"))
    assert policy.form is StateForm.FIDELITY
    found = policy(candidates([[[p, 1 - p, 0]] for p in (0.0, 0.474, 0.476, 1.0)]))
    assert found == pytest.approx([0.95, 0.002, -0.002, -1.05], abs=1e-5)


@pytest.mark.parametrize(
    ("weights", "output", "state", "complaint"),
    [
        (np.zeros((17, 2)), "q_values", "state", "16 or 20 numbers"),
        (np.zeros((16, 2)), "q_values", "features", "expected 'state'"),
        (np.zeros((16, 3)), "q_values", "state", r"'q_values' \[2\]"),
        (np.zeros((16, 2)), "values", "state", r"'probability_right' \[1\]"),
    ],
)
def test_a_graph_that_is_no_policy_is_refused(tmp_path: Path, weights, output, state, complaint) -> None:
    path = policy_file(tmp_path / "selector.onnx", weights, output, state)
    with pytest.raises(ModelError, match=complaint):
        LearnedPolicy(path)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "selector.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match=r"selector\.onnx: ONNX Runtime cannot load it"):
        LearnedPolicy(path)


# ---------------------------------------------------------------- selectors


def test_best_takes_the_highest_first() -> None:
    session, utility = utilities([0.1, 0.9, -0.5, 0.4])
    assert Best(utility).select(session, 3, np.random.default_rng(0)).tolist() == [1, 3, 0]


def test_first_asked_is_in_random_order_and_asks_none_that_the_policy_would_not() -> None:
    """Ten windows of a hundred are worth asking about; the budget is five of them, not the five highest."""
    values = np.full(100, -1.0)
    values[::10] = np.arange(1, 11)
    session, utility = utilities(values)
    chosen = [FirstAsked(utility).select(session, 5, np.random.default_rng(seed)) for seed in range(20)]
    assert all(set(rows) <= set(range(0, 100, 10)) for rows in chosen)
    assert {int(row) for rows in chosen for row in rows} == set(range(0, 100, 10))


def test_first_asked_fills_with_the_highest_of_the_rest() -> None:
    session, utility = utilities([-0.3, -0.1, 0.2, -0.2])
    assert FirstAsked(utility).select(session, 3, np.random.default_rng(0)).tolist() == [2, 1, 3]


def test_at_the_threshold_the_policy_does_not_ask() -> None:
    session, utility = utilities([0.0, 0.0, 0.1])
    assert FirstAsked(utility).searched_share(session, 2, np.random.default_rng(0)) == 1


def test_searched_share_is_how_far_the_search_went() -> None:
    """All are asked about: three labels are spent on the first three of twelve."""
    session, utility = utilities(np.ones(12))
    policy = FirstAsked(utility)
    assert policy.searched_share(session, 3, np.random.default_rng(0)) == 3 / 12
    assert policy.searched_share(session, 0, np.random.default_rng(0)) == 0


def test_searched_share_is_of_the_search_that_selects() -> None:
    """The last window that is chosen is the last one that was looked at."""
    session, utility = utilities([1.0, -1.0, -1.0, 1.0, -1.0, 1.0])
    order = np.random.default_rng(4).permutation(6).tolist()
    (*_, last) = FirstAsked(utility).select(session, 2, np.random.default_rng(4)).tolist()
    share = FirstAsked(utility).searched_share(session, 2, np.random.default_rng(4))
    assert share == (order.index(last) + 1) / 6


def test_evenly_in_time_takes_the_middle_of_each_slice() -> None:
    assert EvenlyInTime().select(candidates(count=9), 3, np.random.default_rng(0)).tolist() == [1, 4, 7]


def test_a_window_in_which_nothing_is_heard_is_asked_about_last() -> None:
    """Its mean of no probabilities has the smallest margin of all."""
    session = candidates([[SURE], [NO_IDEA], [SURE]], heard=[[1], [0], [1]])
    assert Best(margin).select(session, 3, np.random.default_rng(0)).tolist()[-1] == 1
    assert 1 not in Random().select(session, 2, np.random.default_rng(0))


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="a budget of -1 labels; expected 0 or more"):
        Random().select(candidates(count=3), -1, np.random.default_rng(0))


# ---------------------------------------------------------------- coverage


def places(*values: float) -> Candidates:
    return candidates(features=[[value, 0.0] for value in values])


def covered(session: Candidates, budget: int, **settings) -> list[int]:
    return SlicedCoverage(**settings).select(session, budget, np.random.default_rng(0)).tolist()


def test_coverage_takes_the_middle_of_the_crowd_and_not_the_outlier() -> None:
    assert covered(places(9, 0.2, 0.1, 0, -0.1), 1, reach=0.5) == [2]


def test_coverage_asks_about_what_is_new() -> None:
    """In the second half the child goes on as before for ten windows, and then does something else."""
    features = np.random.default_rng(0).normal(size=(40, 5))
    features[30:] += 10
    first, second = covered(candidates(features=features), 2)
    assert first < 20
    assert second >= 30


def test_coverage_takes_one_window_of_each_slice() -> None:
    session = candidates(features=np.random.default_rng(0).normal(size=(103, 5)))
    chosen = covered(session, 7)
    assert [int(np.searchsorted([15, 30, 45, 60, 75, 89, 103], row, side="right")) for row in chosen] == list(range(7))


def test_coverage_of_a_slice_knows_nothing_of_what_comes_later() -> None:
    """A live session must come to the same windows: another ending changes no choice before it."""
    features = np.random.default_rng(0).normal(size=(100, 5))
    other = features.copy()
    other[60:] += 3
    first, second = (covered(candidates(features=values), 5) for values in (features, other))
    assert first[:3] == second[:3]
    assert first != second


def test_coverage_lets_the_policy_decide_between_windows_that_cover_about_as_much() -> None:
    """Windows 1 and 2 are the middle of the crowd; the policy would rather ask about 2, and most of all the outlier."""
    wishes = np.array([0.0, 0.1, 0.5, 0.0, 9.0], np.float32)
    crowd = places(-1, -0.01, 0.01, 1, 50)
    assert covered(crowd, 1, reach=0.5, criterion=lambda _: wishes) == [2]
    assert covered(crowd, 1, reach=0.5, criterion=lambda _: -wishes) == [1]


# ---------------------------------------------------------------- by name


def test_a_selector_by_name() -> None:
    assert make_selector("sliced-coverage", {}) == SlicedCoverage()
    assert make_selector("mmql", {"mmql": margin}) == FirstAsked(margin)


def test_a_misspelt_selector_is_answered_with_the_right_name() -> None:
    with pytest.raises(SelectorError, match=r"no selector 'sliced-covrage'; did you mean 'sliced-coverage'\?"):
        make_selector("sliced-covrage", {})


def test_an_unknown_selector_is_answered_with_all_names() -> None:
    with pytest.raises(SelectorError, match="choose from random, evenly-in-time, mmql"):
        make_selector("xyz", {})


def test_a_policy_that_is_not_trained_is_asked_for() -> None:
    with pytest.raises(SelectorError, match="'p-right' needs the trained criterion 'p-right'; train a policy first"):
        make_selector("p-right", {"mmql": margin})
