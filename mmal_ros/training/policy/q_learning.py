"""Q-learning of G runs in lockstep: replay memory, slow target, squared Bellman error (MMQL 2019, sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmal_ros.datatypes import FloatArray
from mmal_ros.selector.policy import ASK, DO_NOT_ASK, REWARD_OF_ASKING
from mmal_ros.training.group.grouped import BETAS, EPSILON
from mmal_ros.training.policy.q_functions import ACTIONS, QForm, QFunctions, QNetwork, flat_weights

OUTCOME = ACTIONS + 2
"""Numbers of an outcome: which action as 1 of 2, reward, discount of what comes after."""


@dataclass(frozen=True, slots=True)
class QSettings:
    """How a Q-function is learned."""

    form: QForm = QForm.LSTM
    learning_rate: float = 1e-3
    """Of Adam (MMQL 2019, sec. 4.1)."""
    discount: float = 0.9
    """Gamma (MMQL 2019, sec. 4.1)."""
    target_rate: float = 0.01
    """Share of the way that the slow copy goes in each update (MMQL 2019, sec. 4.1)."""
    batch: int = 32
    """Transitions per update. The paper does not say; that of Mnih et al. 2015."""
    capacity: int = 10_000
    """Transitions that are remembered, the newest. The paper does not say: some 4 to 100 episodes, so that states of
    classifiers that have long been trained further are forgotten."""
    budget_end_is_terminal: bool = False
    """Only to show what it does: with it the policy learns that asking ends the world. Running out of budget is a
    truncation (Pardo et al. 2018)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """n windows that each of R runs goes through, in order."""

    states: Tensor
    """(n + 1, R, S): the last is what comes after."""
    right: Tensor
    """(n, R) bool, whether the vote is."""
    forced: Tensor
    """(n, R) the action of those steps in which the run explores; -1 where the policy decides."""
    draws: NDArray[np.float64]
    """(n, R, batch) in [0, 1): which memories an update looks at."""


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What R runs did in a stretch; n steps."""

    actions: NDArray[np.int64]
    """(n, R), -1 after the budget's end."""
    losses: FloatArray
    """(n, R) squared Bellman error of each update, 0 after the budget's end."""


class QLearner:
    """G Q-functions, their slow copies, memories and optimizers."""

    def __init__(self, networks: Sequence[QNetwork], settings: QSettings, device: str = "cpu") -> None:
        """Start from these networks, all of one size and of the form that `settings` says."""
        runs, size = len(networks), networks[0].size
        self.settings, self.size = settings, size
        online = torch.stack([flat_weights(network) for network in networks]).to(device)
        self.weights = torch.stack([online, online])  # (2, G, P): the one that learns, the slow copy
        self.moments = torch.zeros_like(self.weights)  # (2, G, P): first, second
        self.states = torch.zeros(
            2 * runs * settings.capacity, size, device=device
        )  # of all windows; of what came next
        self.outcomes = torch.zeros(runs * settings.capacity, OUTCOME, device=device)
        self.updates = np.zeros(runs, np.int64)  # as many as transitions stored

    def __len__(self) -> int:
        return len(self.updates)

    @property
    def functions(self) -> QFunctions:
        """The Q-functions that learn."""
        return QFunctions(self.weights[0], self.size, self.settings.form)

    def values(self, states: FloatArray) -> FloatArray:
        """Q-values (G, N, 2) of states (N, S), the same for all runs, or (G, N, S)."""
        given = torch.as_tensor(states, device=self.weights.device)
        found: FloatArray = self.functions.values(given.expand(len(self), -1, -1))[0].cpu().numpy()
        return found

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that goes on learning depends on, as tensors: for a checkpoint."""
        tensors = {"weights": self.weights, "moments": self.moments, "states": self.states, "outcomes": self.outcomes}
        return tensors | {"updates": torch.from_numpy(self.updates)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        for name in ("weights", "moments", "states", "outcomes"):
            getattr(self, name).copy_(state[name])
        self.updates = state["updates"].cpu().numpy().copy()

    def walk(self, runs: Sequence[int], stretch: Stretch, left: NDArray[np.int64]) -> Walk:
        """Decide on window after window; learn after each.

        Args:
            runs: which runs, R of them, none twice.
            stretch: their windows.
            left: (R,) labels that each may still ask for; counted down in place. At 0 a run stops.
        """
        steps = len(stretch.right)
        walk = Walk(np.full((steps, len(runs)), -1), np.zeros((steps, len(runs)), np.float32))
        plan = _Plan.of(self, np.asarray(runs), stretch)
        start, going = 0, np.flatnonzero(left)
        while len(going) and start < steps:
            start = _Going(self, plan.rest(start, going), start, going).walk(walk, left)
            going = np.flatnonzero(left)
        return walk


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """All of a stretch that does not depend on what is decided: n steps of R runs."""

    runs: NDArray[np.int64]
    """(R,)"""
    states: Tensor
    """(n, 2, R, S): of the window, of the next."""
    forced: Tensor
    """(n, R)"""
    outcomes: Tensor
    """(n, R, 2, 4): of asking, of not asking."""
    looked_at: Tensor
    """(n, 2, R, 1 + batch) rows of the memory of states: the first is written, the others are learned from."""
    rates: Tensor
    """(2, n, R, 1) step size, negative, and epsilon of Adam with its corrections for the start (Kingma and Ba 2015,
    sec. 2)."""

    @classmethod
    def of(cls, learner: QLearner, runs: NDArray[np.int64], stretch: Stretch) -> _Plan:
        settings, device = learner.settings, learner.weights.device
        stored = learner.updates[runs] + np.arange(len(stretch.right))[:, None]  # (n, R)
        known = np.minimum(stored + 1, settings.capacity)[..., None]
        rows = np.concatenate([stored[..., None] % settings.capacity, (stretch.draws * known).astype(np.int64)], axis=2)
        rows += settings.capacity * runs[:, None]
        decay = np.sqrt(1 - BETAS[1] ** (stored + 1))
        rates = np.stack([-settings.learning_rate * decay / (1 - BETAS[0] ** (stored + 1)), EPSILON * decay])
        return cls(
            runs,
            torch.stack([stretch.states[:-1], stretch.states[1:]], dim=1),
            stretch.forced,
            _outcomes(stretch.right, settings.discount),
            torch.from_numpy(np.stack([rows, rows + len(learner.states) // 2], axis=1)).to(device),
            torch.from_numpy(rates[..., None].astype(np.float32)).to(device),
        )

    def rest(self, start: int, columns: NDArray[np.int64]) -> _Plan:
        """From a step on, of some of the runs."""
        return _Plan(
            self.runs[columns],
            self.states[start:, :, columns],
            self.forced[start:, columns],
            self.outcomes[start:, columns],
            self.looked_at[start:, :, columns],
            self.rates[:, start:, columns],
        )


def _outcomes(right: Tensor, discount: float) -> Tensor:
    """(n, R, 2, 4) what is remembered of either action: which, its reward (MMQL 2019, sec. 3.2), the discount."""
    table = torch.zeros(*right.shape, ACTIONS, OUTCOME, device=right.device)
    table[..., :ACTIONS] = torch.eye(ACTIONS, device=right.device)
    table[..., ASK, ACTIONS] = REWARD_OF_ASKING
    table[..., DO_NOT_ASK, ACTIONS] = 2.0 * right - 1.0
    table[..., ACTIONS + 1] = discount
    return table


class _Going:
    """The runs that go on, gathered: whoever is at the end costs nothing and does not move."""

    def __init__(self, learner: QLearner, plan: _Plan, start: int, columns: NDArray[np.int64]) -> None:
        self.learner, self.plan, self.start, self.columns = learner, plan, start, columns
        self.weights, self.moments = learner.weights[:, plan.runs], learner.moments[:, plan.runs]
        self.own, self.slow = self.weights
        self.first, self.second = self.moments
        self.gradient = torch.zeros_like(self.own)
        self.both = QFunctions(self.weights.flatten(0, 1), learner.size, learner.settings.form)
        self.online = QFunctions(self.own, learner.size, learner.settings.form)

    def walk(self, walk: Walk, left: NDArray[np.int64]) -> int:
        """Go on until a run is at its end, or the stretch; the step after the last."""
        losses = []
        for step in range(len(self.plan.forced)):
            if self.learner.settings.budget_end_is_terminal:
                self.plan.outcomes[step, left[self.columns] == 1, ASK, -1] = 0
            actions, loss = self._step(step)
            losses.append(loss)
            walk.actions[self.start + step, self.columns] = actions
            left[self.columns] -= actions == ASK
            if not left[self.columns].all():
                break
        end = self.start + len(losses)
        walk.losses[self.start : end, self.columns] = torch.stack(losses).cpu().numpy()
        self._put_back(len(losses))
        return end

    def _step(self, step: int) -> tuple[NDArray[np.int64], Tensor]:
        """Decide, remember, learn: the actions (R,) and the squared Bellman errors (R,)."""
        looked_at, forced, batch = self.plan.looked_at[step], self.plan.forced[step], self.learner.settings.batch
        self.learner.states.index_copy_(0, looked_at[..., 0].flatten(), self.plan.states[step].flatten(0, 1))
        states = self.learner.states.index_select(0, looked_at.flatten()).view(-1, 1 + batch, self.learner.size)
        values, way = self.both.values(states)
        own, slow = values.chunk(2)  # (R, 1 + batch, 2) each
        actions = torch.where(forced >= 0, forced, own[:, 0].argmax(dim=1))
        outcomes = self._outcomes(step, actions, looked_at[0])
        targets = torch.addcmul(outcomes[..., ACTIONS], outcomes[..., ACTIONS + 1], slow.amax(dim=2))
        errors = (own - targets.unsqueeze(2)) * outcomes[..., :ACTIONS]
        errors[:, 0] = 0  # it was only decided on
        runs = len(own)
        self.online.gradient(states[:runs], [part[:runs] for part in way], errors * (2 / batch), self.gradient)
        self._move(step)
        return actions.cpu().numpy(), errors.square().sum(dim=(1, 2)) / batch

    def _outcomes(self, step: int, actions: Tensor, looked_at: Tensor) -> Tensor:
        """Remember the outcome of the window; it and those of the memories, (R, 1 + batch, 4)."""
        memory, table = self.learner.outcomes, self.plan.outcomes[step]
        now = table.gather(1, actions.view(-1, 1, 1).expand(-1, 1, OUTCOME)).squeeze(1)
        memory.index_copy_(0, looked_at[:, 0], now)
        return memory.index_select(0, looked_at.flatten()).view(*looked_at.shape, OUTCOME)

    def _move(self, step: int) -> None:
        """One step of Adam, and one of the slow copy."""
        size, epsilon = self.plan.rates[:, step]
        self.first.lerp_(self.gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(self.gradient, self.gradient, value=1 - BETAS[1])
        root = torch.sqrt(self.second, out=self.gradient).add_(epsilon)
        self.own.addcmul_(torch.div(self.first, root, out=root), size)
        self.slow.lerp_(self.own, self.learner.settings.target_rate)

    def _put_back(self, steps: int) -> None:
        self.learner.weights[:, self.plan.runs] = self.weights
        self.learner.moments[:, self.plan.runs] = self.moments
        self.learner.updates[self.plan.runs] += steps
