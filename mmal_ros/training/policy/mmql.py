"""MMQL's Algorithm 1 for many runs at once (MMQL 2019, sec. 3.2): learn when to ask.

A run is a seed, a budget and the people it learns from. All runs of a group go through their episodes in lockstep.
Everything random comes from generators named by (seed, episode, purpose), so a run does not depend on its company,
and a training that was stopped goes on from a checkpoint as if nothing had been.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray
from mmal_ros.selector.policy import ASK, DO_NOT_ASK, REWARD_OF_ASKING
from mmal_ros.training.checkpoints import read_checkpoint, write_checkpoint
from mmal_ros.training.policy.episode_states import EpisodeStates
from mmal_ros.training.policy.q_functions import QNetwork
from mmal_ros.training.policy.q_learning import QLearner, Stretch, Walk
from mmal_ros.training.policy.settings import MMQLSettings, Pool, Run

SHORTEST, LONGEST, TOGETHER = 16, 256, 256
"""Windows of a run that are scored at once: within the first two limits as many as there are labels left to ask for,
and all runs together about the third at least, for the last few that still go on cost hardly less than all."""


class Purpose(IntEnum):
    """What a generator is for."""

    ORDER = 0
    EXPLORE = 1
    REPLAY = 2
    FIT = 3


def generator(run: Run, episode: int, purpose: Purpose) -> np.random.Generator:
    """The numbers of one run for one purpose in one episode."""
    return np.random.default_rng([run.seed, episode, purpose])


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """What G runs did in one episode; (G,) each."""

    number: int
    """From 0."""
    exploration: float
    """Share of the steps in which the action is drawn."""
    asked: FloatArray
    """Labels asked for per window seen, 0-1."""
    reward: FloatArray
    """Mean per window."""
    loss: FloatArray
    """Mean squared Bellman error."""
    searched: FloatArray
    """Share of the pool seen until the budget was spent, 0-1; 1: it was not."""


@dataclass(slots=True)
class _Tally:
    """Counts of one episode, (G,) each."""

    runs: int
    seen: NDArray[np.int64] = field(init=False)
    reward: NDArray[np.float64] = field(init=False)
    loss: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.seen = np.zeros(self.runs, np.int64)
        self.reward, self.loss = np.zeros((2, self.runs))

    def add(self, going: NDArray[np.int64], walk: Walk, right: NDArray[np.bool_]) -> None:
        """What `going` did; `right` (n, R)."""
        rewards = np.select([walk.actions == ASK, walk.actions == DO_NOT_ASK], [REWARD_OF_ASKING, 2.0 * right - 1])
        self.seen[going] += (walk.actions >= 0).sum(axis=0)
        self.reward[going] += rewards.sum(axis=0)
        self.loss[going] += walk.losses.sum(axis=0)


class Training:
    """Algorithm 1 of a group of runs, episode by episode."""

    def __init__(self, states: EpisodeStates, runs: Sequence[Run], settings: MMQLSettings, device: str = "cpu") -> None:
        """Start anew.

        Args:
            states: where windows and their states come from, for these runs.
            runs: G of them.
            settings: the same for all.
            device: where the Q-functions are, `cpu` or `cuda`.
        """
        torch.set_num_threads(1)  # sums of several threads differ from run to run
        self.states, self.runs, self.settings, self.device = states, tuple(runs), settings, device
        networks = [first_network(run.seed, states.size, settings) for run in runs]
        self.learner = QLearner(networks, settings.q, device)
        self.history: list[Episode] = []

    def episode(self) -> Episode:
        """One more: look at windows until the budget is spent, learning after each; then train the classifiers."""
        number = len(self.history)
        exploration = self.settings.exploration(number)
        left = np.array([run.budget for run in self.runs])
        tally = _Tally(len(self.runs))
        orders = [self._order(run, number, index) for index, run in enumerate(self.runs)]
        asked = self._walk_through(orders, left, tally, number, exploration)
        self.states.learn(asked, [generator(run, number, Purpose.FIT) for run in self.runs])
        pool = np.array([len(order) - 1 for order in orders])
        counts = np.array([len(rows) for rows in asked])
        means = (counts / tally.seen, tally.reward / tally.seen, tally.loss / tally.seen)
        searched = np.where(left == 0, tally.seen / pool, 1.0)
        found = Episode(number, exploration, *(part.astype(np.float32) for part in (*means, searched)))
        self.history.append(found)
        return found

    def _order(self, run: Run, number: int, index: int) -> NDArray[np.int64]:
        """The rows of the pool shuffled, and the first again: what comes after the last is a window like any other."""
        random, people = generator(run, number, Purpose.ORDER), self.states.rows[index]
        pool = np.concatenate(people) if self.settings.pool is Pool.ALL else people[random.integers(len(people))]
        order = random.permutation(pool)
        return np.concatenate([order, order[:1]])

    def _walk_through(
        self,
        orders: Sequence[NDArray[np.int64]],
        left: NDArray[np.int64],
        tally: _Tally,
        number: int,
        exploration: float,
    ) -> list[NDArray[np.int64]]:
        """Rows asked about by each run; `left` is counted down."""
        explore = [generator(run, number, Purpose.EXPLORE) for run in self.runs]
        replay = [generator(run, number, Purpose.REPLAY) for run in self.runs]
        lengths = np.array([len(order) - 1 for order in orders])
        asked: list[list[int]] = [[] for _ in self.runs]
        position, going = 0, np.arange(len(self.runs))
        while len(going):
            wanted = np.clip(max(left[going].max(), TOGETHER // len(going)), SHORTEST, LONGEST)
            count = min(int(wanted), int(lengths[going].min()) - position)
            rows = np.stack([orders[run][position : position + count + 1] for run in going])
            states, right = self.states.view(going, rows)
            forced = np.stack([_forced(explore[run].random((count, 2)), exploration) for run in going], axis=1)
            draws = np.stack([replay[run].random((count, self.settings.q.batch)) for run in going], axis=1)
            stretch = Stretch(states.transpose(0, 1), right[:, :-1].T, torch.from_numpy(forced).to(self.device), draws)
            still = left[going]
            walk = self.learner.walk(going.tolist(), stretch, still)
            left[going] = still
            tally.add(going, walk, right[:, :-1].T.cpu().numpy())
            for column, run in enumerate(going):
                asked[run].extend(rows[column, :-1][walk.actions[:, column] == ASK].tolist())
            position += count
            going = going[(still > 0) & (position < lengths[going])]
        return [np.array(rows, np.int64) for rows in asked]

    def policy(self, run: int) -> QNetwork:
        """A copy of one run's Q-function."""
        return self.learner.functions.network(run)

    def save(self, path: Path) -> None:
        """Write a checkpoint, completely or not at all."""
        history = [[part.tolist() for part in _columns(episode)] for episode in self.history]
        content: dict[str, Any] = {"identity": self.identity, "history": history}
        write_checkpoint(path, content | {"learner": self.learner.state_dict(), "states": self.states.state_dict()})

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; CheckpointError where it is of another training."""
        content = read_checkpoint(path, self.identity, self.device)
        self.learner.load_state_dict(content["learner"])
        self.states.load_state_dict(content["states"])
        columns = [[np.array(part, np.float32) for part in parts] for parts in content["history"]]
        self.history = [
            Episode(number, self.settings.exploration(number), *parts) for number, parts in enumerate(columns)
        ]

    @property
    def identity(self) -> str:
        """Names settings, runs and data: a checkpoint of something else is refused."""
        what = repr((self.settings, self.runs, self.states.fingerprint))
        return hashlib.sha256(what.encode()).hexdigest()


def train(
    training: Training,
    checkpoint: Path | None = None,
    every: int = 5,
    on_episode: Callable[[Episode], None] = lambda _: None,
) -> None:
    """Run all episodes that are not done yet.

    Args:
        training: a new one.
        checkpoint: file to go on from, where it is there, and to write to.
        every: episodes between two checkpoints.
        on_episode: told each episode: for a progress bar, for TensorBoard.

    Raises:
        CheckpointError: the checkpoint is of another training.
    """
    if checkpoint is not None and checkpoint.is_file():
        training.load(checkpoint)
    episodes = training.settings.episodes
    while len(training.history) < episodes:
        on_episode(training.episode())
        if checkpoint is not None and (len(training.history) % every == 0 or len(training.history) == episodes):
            training.save(checkpoint)


def first_network(seed: int, size: int, settings: MMQLSettings) -> QNetwork:
    """The Q-function that a run starts from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return QNetwork(size, settings.q.form)


def _forced(draws: NDArray[np.float64], exploration: float) -> NDArray[np.int64]:
    """(n,) -1 where the policy decides, else an action, each with probability 1/2; draws (n, 2) in [0, 1)."""
    drawn = np.where(draws[:, 1] < 1 / len((ASK, DO_NOT_ASK)), ASK, DO_NOT_ASK)
    return np.where(draws[:, 0] < exploration, drawn, -1)


def _columns(episode: Episode) -> tuple[FloatArray, ...]:
    return (episode.asked, episode.reward, episode.loss, episode.searched)
