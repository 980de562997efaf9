"""What the live graph loads says what the trained policy says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmal_ros.selector import Candidates, LearnedPolicy, StateForm, policy_state
from mmal_ros.training.export.checked import ExportError
from mmal_ros.training.export.policies import export_policy, largest_policy_difference
from mmal_ros.training.policy.q_functions import QForm, QNetwork
from mmal_ros.training.policy.vote_right import fit_vote_right

COUNT = 2_000


def candidates(random: np.random.Generator) -> Candidates:
    probabilities = random.dirichlet([1, 1, 1], (COUNT, 4)).astype(np.float32)
    heard = random.random((COUNT, 4)) < 0.8
    return Candidates(probabilities, heard, np.zeros((COUNT, 1), np.float32), np.arange(COUNT, dtype=float))


@pytest.mark.parametrize(("form", "state"), [(QForm.LSTM, StateForm.FIDELITY), (QForm.MLP, StateForm.PRODUCT)])
def test_the_exported_q_function_wants_what_the_trained_one_wants(
    form: QForm, state: StateForm, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = QNetwork({StateForm.FIDELITY: 16, StateForm.PRODUCT: 20}[state], form)
    export_policy(network, tmp_path / "selector.onnx")
    some = candidates(np.random.default_rng(0))
    with torch.no_grad():
        ask, no = network(torch.from_numpy(policy_state(some.probabilities, some.heard, state))).T.numpy()
    np.testing.assert_allclose(LearnedPolicy(tmp_path / "selector.onnx")(some), ask - no, atol=1e-5)


def test_the_control_knows_how_often_the_vote_is_right_and_is_exported(tmp_path: Path) -> None:
    """Ten people whose vote is right the more often the surer it is."""
    random = np.random.default_rng(1)
    some = candidates(random)
    state = policy_state(some.probabilities, some.heard, StateForm.PRODUCT)
    p = 1 / (1 + np.exp(2.5 - 6 * (some.probabilities.max(axis=2) * some.heard).mean(axis=1)))
    control = fit_vote_right(state, random.random(COUNT) < p, np.arange(COUNT) % 10)
    with torch.no_grad():
        found = control(torch.from_numpy(state))[:, 0].numpy()
    assert abs(found.mean() - p.mean()) < 0.03
    assert np.abs(found - p).mean() < 0.08
    export_policy(control, tmp_path / "right.onnx")
    np.testing.assert_allclose(LearnedPolicy(tmp_path / "right.onnx")(some), -0.05 - (2 * found - 1), atol=1e-5)
    assert largest_policy_difference(control, tmp_path / "right.onnx") < 1e-5


def test_with_one_person_there_is_nobody_to_calibrate_on() -> None:
    states = np.random.default_rng(0).random((50, 16), dtype=np.float32)
    with pytest.raises(ValueError, match="two at least"):
        fit_vote_right(states, np.arange(50) % 2 == 0, np.zeros(50, np.int64))


def test_where_the_vote_was_always_right_nobody_is_asked() -> None:
    states = np.random.default_rng(0).random((50, 16), dtype=np.float32)
    always = fit_vote_right(states, np.ones(50, bool), np.arange(50))
    np.testing.assert_allclose(always(torch.from_numpy(states)).numpy(), np.full((50, 1), 0.99), atol=1e-6)


def test_where_one_persons_votes_are_all_wrong_and_there_is_one_other_the_share_is_the_answer() -> None:
    """Whoever holds out the second can learn nothing from the first."""
    states = np.random.default_rng(0).random((50, 16), dtype=np.float32)
    right = np.concatenate([np.zeros(25, bool), np.arange(25) % 2 == 0])
    found = fit_vote_right(states, right, np.repeat([0, 1], 25))
    np.testing.assert_allclose(found(torch.from_numpy(states)).numpy(), np.full((50, 1), 0.26), atol=1e-6)


def test_a_graph_that_does_not_compute_what_the_policy_computes_is_not_written(tmp_path: Path) -> None:
    network = QNetwork(16, QForm.MLP)
    with torch.no_grad():
        network.output.bias.fill_(torch.nan)
    with pytest.raises(ExportError, match="differ"):
        export_policy(network, tmp_path / "selector.onnx")
    assert list(tmp_path.iterdir()) == []
