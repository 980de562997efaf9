"""The learner of the policy: known arithmetic, a bandit whose answer is known, and what must not move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mmal_ros.selector.policy import ASK, DO_NOT_ASK
from mmal_ros.training.policy.q_functions import QForm, QFunctions, QNetwork, flat_weights
from mmal_ros.training.policy.q_learning import QLearner, QSettings, Stretch
from rigs import bandit

BUDGET = 10


def seeded(size: int, form: QForm, seed: int = 0) -> QNetwork:
    torch.manual_seed(seed)
    return QNetwork(size, form)


def stretch(steps: int, runs: int, batch: int, size: int = 3, seed: int = 0) -> Stretch:
    random = np.random.default_rng(seed)
    return Stretch(
        torch.from_numpy(random.random((steps + 1, runs, size), dtype=np.float32)),
        torch.from_numpy(random.random((steps, runs)) < 0.5),
        torch.full((steps, runs), -1),
        random.random((steps, runs, batch)),
    )


@pytest.mark.parametrize("form", list(QForm))
def test_the_gradient_by_hand_is_torchs(form: QForm) -> None:
    networks = [seeded(16, form, seed) for seed in range(3)]
    functions = QFunctions(torch.stack([flat_weights(network) for network in networks]), 16, form)
    states, slopes = torch.randn(3, 7, 16), torch.randn(3, 7, 2)
    values, way = functions.values(states)
    gradient = torch.zeros_like(functions.flat)
    functions.gradient(states, way, slopes, gradient)
    for run, network in enumerate(networks):
        answer = network(states[run])
        (answer * slopes[run]).sum().backward()
        slope_of = seeded(16, form)
        for parameter, source in zip(slope_of.parameters(), network.parameters(), strict=True):
            parameter.data = source.grad
        torch.testing.assert_close(values[run], answer.detach())
        torch.testing.assert_close(gradient[run], flat_weights(slope_of))


def test_the_lstm_is_torchs_on_a_sequence_of_length_one() -> None:
    network, lstm = seeded(16, QForm.LSTM), nn.LSTM(16, 32, batch_first=True)
    entry, exit_, candidate = network.entry.weight.detach().chunk(3)
    biases = network.entry.bias.detach().chunk(3)
    with torch.no_grad():  # torch's order: entry, forget, candidate, exit
        lstm.weight_ih_l0.copy_(torch.cat([entry, torch.randn(32, 16), candidate, exit_]))
        lstm.bias_ih_l0.copy_(torch.cat([biases[0], torch.randn(32), biases[2], biases[1]]))
        lstm.bias_hh_l0.zero_()
        states = torch.randn(5, 16)
        expected = network.output(torch.relu(lstm(states[:, None])[0][:, 0]))
        torch.testing.assert_close(network(states), expected)


def test_one_update_is_what_is_computed_with_pen_and_paper() -> None:
    """The first transition of a run: not asked, wrong; the first step of Adam goes 0.001 against the slope's sign."""
    network = seeded(2, QForm.MLP)
    learner = QLearner([network], QSettings(form=QForm.MLP, batch=1))
    states = torch.tensor([[[0.2, 0.4]], [[0.6, 0.1]]])
    with torch.no_grad():
        before, after = network(states[:, 0])
    walk = learner.walk(
        [0], Stretch(states, torch.tensor([[False]]), torch.tensor([[DO_NOT_ASK]]), np.zeros((1, 1, 1))), np.array([5])
    )
    error = float(before[DO_NOT_ASK]) - (-1 + 0.9 * float(after.max()))
    assert walk.losses[0, 0] == pytest.approx(error**2, rel=1e-5)
    moved = learner.functions.network(0).output.bias
    change = (moved - network.output.bias).detach()
    assert change[DO_NOT_ASK] == pytest.approx(-0.001 * np.sign(error), rel=1e-3)
    assert change[ASK] == 0  # what was not done teaches nothing
    slow = QFunctions(learner.weights[1], 2, QForm.MLP).network(0).output.bias
    assert (slow - network.output.bias)[DO_NOT_ASK].item() == pytest.approx(0.01 * change[DO_NOT_ASK].item(), rel=1e-2)


def test_a_run_whose_budget_is_spent_stops_and_does_not_move() -> None:
    """Two runs; the first may ask twice and is made to, the second goes on."""
    settings = QSettings(batch=4, capacity=50)
    together = QLearner([seeded(3, QForm.LSTM, seed) for seed in range(2)], settings)
    there = stretch(20, 2, 4)
    there.forced[:, 0], there.forced[:, 1] = ASK, DO_NOT_ASK
    left = np.array([2, 2])
    walk = together.walk([0, 1], there, left)
    assert left.tolist() == [0, 2]
    assert walk.actions[:, 0].tolist() == [ASK, ASK] + [-1] * 18
    assert together.updates.tolist() == [2, 20]
    alone = QLearner([seeded(3, QForm.LSTM, 0)], settings)
    first = Stretch(there.states[:3, :1], there.right[:2, :1], there.forced[:2, :1], there.draws[:2, :1])
    alone.walk([0], first, np.array([2]))
    torch.testing.assert_close(together.weights[:, 0], alone.weights[:, 0])
    assert (together.states[2:50] == 0).all()
    assert (together.states[102:150] == 0).all()  # and nothing is written into its memory


def test_the_memory_forgets_the_oldest() -> None:
    learner = QLearner([seeded(3, QForm.LSTM)], QSettings(batch=2, capacity=8))
    there = stretch(11, 1, 2)
    there.forced[:] = DO_NOT_ASK
    learner.walk([0], there, np.array([1]))
    remembered = [*there.states[8:11, 0], *there.states[3:8, 0]]  # the ninth took the first one's place
    torch.testing.assert_close(learner.states[:8], torch.stack(remembered))
    torch.testing.assert_close(learner.states[8:], torch.stack([*there.states[9:12, 0], *there.states[4:9, 0]]))
    right = [*there.right[8:11, 0], *there.right[3:8, 0]]
    assert learner.outcomes[:, 2].tolist() == [1.0 if vote else -1.0 for vote in right]


def test_the_same_seed_gives_the_same_weights_bit_by_bit() -> None:
    weights = []
    for _ in range(2):
        learner = QLearner([seeded(3, QForm.MLP, seed) for seed in range(2)], QSettings(form=QForm.MLP))
        learner.walk([0, 1], stretch(50, 2, 32), np.array([5, 50]))
        weights.append(learner.weights)
    assert torch.equal(*weights)


def test_where_the_vote_is_right_with_a_known_chance_the_policy_asks_below_0_475() -> None:
    """Ten seeds, 5,000 updates, budgets of ten labels that run out again and again."""
    found = bandit.sign_changes(bandit.learn(QSettings(), seeds=10, updates=5_000, budget=BUDGET))
    assert 0.45 <= np.median(found) <= 0.50
    assert ((found >= 0.425) & (found <= 0.525)).sum() >= 9


def test_a_budgets_end_stored_as_the_end_of_the_world_makes_the_policy_shy() -> None:
    """Then every tenth question costs gamma V, and it pays only below 0.475 - gamma V / (2 B)."""
    settings = QSettings(budget_end_is_terminal=True)
    learner = bandit.learn(settings, seeds=5, updates=5_000, budget=BUDGET)
    value = learner.values(np.linspace(0, 1, 101, dtype=np.float32)[:, None]).max(axis=2).mean()
    found = np.median(bandit.sign_changes(learner))
    assert found < 0.44
    assert found == pytest.approx(0.475 - settings.discount * value / (2 * BUDGET), abs=0.03)
