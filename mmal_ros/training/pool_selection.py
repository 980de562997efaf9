"""Selectors that need the whole session, for comparison; scikit-activeml's where they fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skactiveml.pool import CoreSet, ProbCover, TypiClust
from skactiveml.utils import MISSING_LABEL
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from mmal_ros.datatypes import FloatArray, Level
from mmal_ros.selector import LIVE_SELECTORS, Candidates, Criterion, Entry, HeardFirst, Indices, Selector, vote
from mmal_ros.selector import make_selector as make_known
from mmal_ros.selector.coverage import distances

Strategy = Any
"""A pool-based query strategy of scikit-activeml, which has no types."""
RADII = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
"""ProbCover's radii to try, as quantiles of the distances of pairs: the library's are for vectors of length one."""


class Badge(HeardFirst):
    """BADGE-like: k-means++ on the gradients of the classifiers' last layers for the label that the vote predicts.

    As if every modality heard had a linear last layer on the candidates' features: the gradient of its cross-entropy
    is (p - e) x features, with e the vote. A modality that is unsure or outvoted has a long one. scikit-activeml's
    version knows one classifier only, and writes the products out.

    Source: Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (2020), algorithm 1.
    """

    def choose(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """Each row with a chance in proportion to its squared distance from the nearest chosen one, at first from 0."""
        residuals, features = _residuals(candidates), candidates.features
        lengths = (residuals**2).sum(axis=1) * (features**2).sum(axis=1)
        nearest = lengths.astype(np.float64)
        chosen: list[int] = []
        while len(chosen) < budget:
            chosen.append(_draw(nearest, chosen, random))
            products = (residuals @ residuals[chosen[-1]]) * (features @ features[chosen[-1]])
            away = lengths + lengths[chosen[-1]] - 2 * products  # <r x f, s x g> = <r, s> <f, g>
            nearest = np.minimum(nearest, np.maximum(away, 0))
        return np.array(chosen)


@dataclass(frozen=True, slots=True)
class PoolStrategy(HeardFirst):
    """A strategy of scikit-activeml on the candidates' features."""

    make: Callable[[FloatArray, int], Strategy]
    """Gives the strategy for features (N, E) and a seed."""

    def choose(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """What the strategy asks in one batch; where windows are identical it may ask twice: then others follow."""
        count, seed = len(candidates), int(random.integers(2**31))
        if budget == count:  # there is nothing to choose
            return np.arange(count)
        nothing_known = np.full(count, MISSING_LABEL)
        with threadpool_limits(1), warnings.catch_warnings():  # sums of several threads differ from run to run
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different windows than clusters
            strategy = self.make(candidates.features, seed)
            asked = strategy.query(candidates.features, nothing_known, batch_size=budget)
        each_once = dict.fromkeys([*map(int, asked), *random.permutation(count).tolist()])
        return np.array(list(each_once)[:budget])


def k_centre(features: FloatArray, seed: int) -> Strategy:
    """Greedy k-centre: the window farthest from all chosen ones (Sener and Savarese 2018, algorithm 1)."""
    return CoreSet(random_state=seed)


def typical(features: FloatArray, seed: int) -> Strategy:
    """The most typical window of each of as many clusters as labels (Hacohen, Dekel, Weinshall 2022, sec. 3.2)."""
    return TypiClust(random_state=seed)


def covering(features: FloatArray, seed: int) -> Strategy:
    """The window in whose ball most uncovered windows lie (Yehuda et al. 2022, algorithm 1).

    The radius is the largest of `RADII` at which 95 % of the balls hold one cluster only (their sec. 3.2).
    """
    return ProbCover(n_classes=min(len(Level), len(features)), deltas=radii(features), random_state=seed)


def radii(features: FloatArray) -> NDArray[np.float64]:
    """Distances at the quantiles `RADII`."""
    quantiles: NDArray[np.float64] = np.quantile(distances(features, features), RADII)
    return quantiles


def _residuals(candidates: Candidates) -> FloatArray:
    """(N, M * 3) probabilities minus the vote as one-hot; 0 where a modality is not heard."""
    voted = np.eye(len(Level), dtype=np.float32)[vote(candidates.probabilities, candidates.heard)]
    residuals = (candidates.probabilities - voted[:, None]) * candidates.heard[..., None]
    flat: FloatArray = residuals.reshape(len(candidates), -1)
    return flat


def _draw(weights: NDArray[np.float64], chosen: list[int], random: np.random.Generator) -> int:
    """A row that is not chosen yet, in proportion to its weight; all alike where all weights are 0."""
    free = weights.copy()
    free[chosen] = 0
    if free.sum() <= 0:
        free = np.ones(len(weights))
        free[chosen] = 0
    return int(random.choice(len(weights), p=free / free.sum()))


SELECTORS: Mapping[str, Entry] = {
    **LIVE_SELECTORS,
    "badge": Entry("k-means++ on gradients of the last layers", lambda _: Badge()),
    "k-centre": Entry("the window farthest from all chosen ones", lambda _: PoolStrategy(k_centre)),
    "typiclust": Entry("the most typical window of each cluster", lambda _: PoolStrategy(typical)),
    "probcover": Entry("the window whose ball covers most of what is not covered", lambda _: PoolStrategy(covering)),
}
"""All selectors."""


def make_selector(name: str, trained: Mapping[str, Criterion]) -> Selector:
    """The selector of that name in `SELECTORS`; see `mmal_ros.selector.make_selector`."""
    return make_known(name, trained, SELECTORS)
