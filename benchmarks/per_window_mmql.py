"""Algorithm 1 the straightforward way: one run, one window at a time, ordinary torch modules and optimizers.

For tests, which hold the grouped training to its decisions, and for benchmarks, which tell how much faster that is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmal_ros.datatypes import Level, Modality
from mmal_ros.selector.policy import ASK, DO_NOT_ASK, REWARD_OF_ASKING
from mmal_ros.selector.state import policy_state, vote
from mmal_ros.training.group.windows import inputs
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.policy.episode_states import column_of, first_classifier
from mmal_ros.training.policy.mmql import Purpose, first_network, generator
from mmal_ros.training.policy.settings import MMQLSettings, Run


@dataclass(frozen=True)
class Decision:
    """What was done about one window."""

    episode: int
    row: int
    """Of all windows of all people, one after the other."""
    action: int


class PerWindowMMQL:
    """One run of Algorithm 1, with one child's windows per episode."""

    def __init__(self, people: Sequence[PersonWindows], names: Sequence[str], run: Run, settings: MMQLSettings) -> None:
        """Start anew; the arguments are those of `LearnedStates`."""
        torch.set_num_threads(1)
        self.run, self.settings, self.names = run, settings, names
        known = [person for person in people if person.code not in run.held_out]
        self.windows = {
            name: [
                torch.from_numpy(np.concatenate(part)) for part in zip(*(inputs(p, name) for p in known), strict=True)
            ]
            for name in names
        }
        self.labels = np.concatenate([person.labels for person in known])
        ends = np.cumsum([len(person) for person in known])
        self.people = [np.arange(end - len(person), end) for end, person in zip(ends, known, strict=True)]
        self.classifiers = {n: first_classifier(run.seed, self.windows[n][0].shape[2], n) for n in names}
        size = len(self.look(0)[0])
        self.q = first_network(run.seed, size, settings)
        self.slow = copy.deepcopy(self.q)
        self.optimizer = torch.optim.Adam(self.q.parameters(), settings.q.learning_rate, fused=True)
        self.memory = torch.zeros(settings.q.capacity, 2, size)
        self.actions = torch.zeros(settings.q.capacity, dtype=torch.int64)
        self.rewards = torch.zeros(settings.q.capacity)
        self.stored = 0
        self.decisions: list[Decision] = []
        self.losses: list[float] = []

    def look(self, row: int) -> tuple[Tensor, bool]:
        """State (S,) of a window, and whether the vote is right."""
        probabilities = np.full((1, len(Modality), len(Level)), 1 / len(Level), np.float32)
        heard = np.zeros((1, len(Modality)), np.bool_)
        for name, network in self.classifiers.items():
            features, mask, there = (part[row : row + 1] for part in self.windows[name])
            heard[0, column_of(name)] = bool(there)
            if there:
                with torch.no_grad():
                    probabilities[0, column_of(name)] = network(features, mask).numpy()[0]
        state = torch.from_numpy(policy_state(probabilities, heard, self.settings.state)[0])
        return state, bool(vote(probabilities, heard)[0] == self.labels[row])

    def episode(self, number: int) -> None:
        """One: windows until the budget is spent; then the classifiers."""
        order_random, explore, replay, fit = (generator(self.run, number, purpose) for purpose in Purpose)
        order = order_random.permutation(self.people[order_random.integers(len(self.people))])
        exploration, asked = self.settings.exploration(number), []
        state, right = self.look(order[0])
        for position, row in enumerate(order):
            following, right_there = self.look(order[(position + 1) % len(order)])
            action = self._decide(state, explore.random(2), exploration)
            reward = REWARD_OF_ASKING if action == ASK else 1.0 if right else -1.0
            self._remember(state, following, action, reward)
            self._learn(replay.random(self.settings.q.batch))
            self.decisions.append(Decision(number, int(row), action))
            if action == ASK:
                asked.append(row)
            if len(asked) == self.run.budget:
                break
            state, right = following, right_there
        self._train_classifiers(np.array(asked, np.int64), fit)

    def _decide(self, state: Tensor, draws: NDArray[np.float64], exploration: float) -> int:
        if draws[0] < exploration:
            return ASK if draws[1] < 0.5 else DO_NOT_ASK
        with torch.no_grad():
            return int(self.q(state[None]).argmax())

    def _remember(self, state: Tensor, following: Tensor, action: int, reward: float) -> None:
        place = self.stored % self.settings.q.capacity
        self.memory[place, 0], self.memory[place, 1] = state, following
        self.actions[place], self.rewards[place] = action, reward
        self.stored += 1

    def _learn(self, draws: NDArray[np.float64]) -> None:
        rows = torch.from_numpy((draws * min(self.stored, self.settings.q.capacity)).astype(np.int64))
        states, following = self.memory[rows].unbind(1)
        with torch.no_grad():
            target = self.rewards[rows] + self.settings.q.discount * self.slow(following).amax(dim=1)
        values = self.q(states).gather(1, self.actions[rows, None]).squeeze(1)
        loss = nn.functional.mse_loss(values, target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.slow.parameters()), list(self.q.parameters()), self.settings.q.target_rate)
        self.losses.append(float(loss.detach()))

    def _train_classifiers(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        labels = torch.from_numpy(self.labels)
        for name, network in self.classifiers.items():
            features, mask, heard = self.windows[name]
            known = rows[heard[rows].numpy()]
            optimizer = torch.optim.Adam(network.parameters(), self.settings.learning_rate, fused=True)
            size = self.settings.batch or len(known)
            for _ in range(self.settings.epochs):
                order = random.permutation(known)
                for start in range(0, len(order), size):
                    batch = torch.from_numpy(order[start : start + size])
                    loss = nn.functional.cross_entropy(network.logits(features[batch], mask[batch]), labels[batch])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
