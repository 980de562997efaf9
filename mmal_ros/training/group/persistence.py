"""How long a label holds, and what a few labels say of the windows around them.

Engagement changes slowly beside the length of a window. How slowly is learned from the training people, whose labels
are all known; with it a label of the new person also speaks, less and less, for the unlabelled windows near it in
time. The model is the simplest one there is: a Markov process that leaves its class after `persistence_s` on average
and then takes any class with equal chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from mmal_ros.datatypes import FloatArray, Level
from mmal_ros.training.people import PersonWindows, evenly

MOST_WINDOWS = 400
"""Windows of a person whose pairs are compared: 400 give 80,000 pairs."""
TINY = 1e-12
CLASSES = len(Level)


def persistence_s(people: Sequence[PersonWindows]) -> float:
    """The time constant in seconds after which a person's label is as good as any other of hers; 0: at once.

    Of all pairs of windows of a person, the share with equal labels falls from 1 to chance (the sum of her squared
    class shares) as exp(-distance / persistence); the constant is fitted to all people by least squares. People with
    one class say nothing about it.
    """
    distances, excess, weights = (np.concatenate(parts) for parts in zip(*map(_agreement, people), strict=True))
    if not weights.any():
        return 0.0
    shortest, longest = float(distances[distances > 0].min()), float(distances.max())

    def misfit(log_s: float) -> float:
        return float((weights * (excess - np.exp(-distances / np.exp(log_s))) ** 2).sum())

    found = minimize_scalar(misfit, bounds=(np.log(shortest / 10), np.log(longest)), method="bounded")
    return float(np.exp(found.x))


def spread(
    times_s: NDArray[np.float64], rows: NDArray[np.int64], labels: NDArray[np.int64], persistence: float
) -> FloatArray:
    """Weights (N, 3) of each class at each window: 1 for a label itself, less around it, 0 far from all labels.

    The weight is how far the probability of the class, given the nearest label before and after, is above chance.

    Args:
        times_s: (N,) of all windows, labelled or not, in any order.
        rows: (B,) which are labelled.
        labels: (B,) their classes.
        persistence: in seconds, as `persistence_s` gives it; 0: a label speaks for its own window only.
    """
    weights = np.zeros((len(times_s), CLASSES), np.float32)
    if persistence > 0:
        order = np.argsort(times_s[rows], kind="stable")
        known_s, known = times_s[rows][order], labels[order]
        after = np.searchsorted(known_s, times_s)
        likely = np.ones((len(times_s), CLASSES))
        for neighbour in (after - 1, after):
            there = (neighbour >= 0) & (neighbour < len(known))
            likely[there] *= _transition(
                times_s[there], known_s[neighbour[there]], known[neighbour[there]], persistence
            )
        probability = likely / likely.sum(axis=1, keepdims=True)
        weights = np.maximum((probability - 1 / CLASSES) / (1 - 1 / CLASSES), 0).astype(np.float32)
    weights[rows] = np.eye(CLASSES, dtype=np.float32)[labels]
    return weights


def _transition(
    times_s: NDArray[np.float64], known_s: NDArray[np.float64], known: NDArray[np.int64], persistence: float
) -> NDArray[np.float64]:
    """Probability (N, 3) of each class at `times_s`, given one label each; the process is the same both ways."""
    stays = np.exp(-np.abs(times_s - known_s) / persistence)[:, None]
    probability: NDArray[np.float64] = stays * np.eye(CLASSES)[known] + (1 - stays) / CLASSES
    return probability


def _agreement(person: PersonWindows) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Distance in s, agreement above chance and weight of each group of pairs of a person's windows."""
    rows = evenly(len(person), MOST_WINDOWS)
    times_s, labels = person.times_s[rows], person.labels[rows]
    shares = np.bincount(labels) / len(labels)
    chance = float((shares**2).sum())
    first, second = np.triu_indices(len(rows), k=1)
    distances = np.abs(times_s[first] - times_s[second])
    if chance > 1 - TINY or not len(distances):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    equal = (labels[first] == labels[second]).astype(float)
    edges = np.quantile(distances, np.linspace(0, 1, 41))
    groups = [(distances >= low) & (distances <= high) for low, high in pairwise(edges)]
    groups = [group for group in groups if group.any()]  # of a few pairs, some are in no group
    return (
        np.array([distances[group].mean() for group in groups]),
        np.array([(equal[group].mean() - chance) / (1 - chance) for group in groups]),
        np.array([1 / len(groups)] * len(groups)),
    )
