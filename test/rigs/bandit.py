"""A bandit with known p: the state is the probability that the vote is right, so it is known where asking pays."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mmal_ros.selector.policy import ASK, DO_NOT_ASK
from mmal_ros.training.policy.mmql import first_network
from mmal_ros.training.policy.q_learning import QLearner, QSettings, Stretch
from mmal_ros.training.policy.settings import MMQLSettings

STRETCH = 50


def learn(q: QSettings, seeds: int, updates: int, budget: int) -> QLearner:
    """One run per seed, as many updates each; a run that has spent its budget gets it anew, as in the next episode."""
    learner = QLearner([first_network(seed, 1, MMQLSettings(q=q)) for seed in range(seeds)], q)
    random = [np.random.default_rng([seed, 7]) for seed in range(seeds)]
    while len(going := np.flatnonzero(learner.updates < updates)):
        drawn = [_stretch(random[run], learner.updates[run] / updates, q.batch) for run in going]
        p, right, forced, draws = (np.stack(parts, axis=1) for parts in zip(*drawn, strict=True))
        stretch = Stretch(torch.from_numpy(p), torch.from_numpy(right), torch.from_numpy(forced), draws)
        learner.walk(going.tolist(), stretch, np.full(len(going), budget))
    return learner


def sign_changes(learner: QLearner) -> NDArray[np.float64]:
    """(G,) the p at which each run stops asking."""
    p = np.linspace(0, 1, 1001, dtype=np.float32)[:, None]
    values = learner.values(p)
    asks = values[..., ASK] > values[..., DO_NOT_ASK]
    return np.array([p[run.argmin(), 0] for run in asks])


def _stretch(random: np.random.Generator, progress: float, batch: int) -> tuple[np.ndarray, ...]:
    p = random.random((STRETCH + 1, 1), dtype=np.float32)
    right = random.random(STRETCH) < p[:-1, 0]
    explored = random.random(STRETCH) < 0.5 + progress * (0.005 - 0.5)
    forced = np.where(explored, random.integers(2, size=STRETCH), -1)
    return p, right, forced, random.random((STRETCH, batch))
