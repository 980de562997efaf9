"""The selector that is used unless another is named: one window per slice of the session, the one that covers most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray
from mmal_ros.selector.candidates import Candidates, Criterion, HeardFirst, Indices
from mmal_ros.selector.strategies import slices

Distances = NDArray[np.float64]
IDENTICAL = 1e-6
"""Features are standardised: what is nearer than this is the same but for rounding."""


@dataclass(frozen=True, slots=True)
class SlicedCoverage(HeardFirst):
    """Cuts the session into as many slices as there are labels and asks about one window in each.

    It is the one that most of what was seen until the end of the slice is like and that nothing asked about before
    is: a window in a dense and new region. Nothing is random, and nothing after the slice is used. `LiveCoverage`
    does likewise live, among the last few windows, and covers nearly as much (benchmarks/bench_selector.py).

    Source: the goal is that of ProbCover (Yehuda et al., "Active Learning Through a Covering Lens", 2022), with
    likeness that fades in place of a ball, which makes it facility location (Krause and Golovin, "Submodular Function
    Maximization", 2014, sec. 1). The slices are ours.
    """

    criterion: Criterion | None = None
    """Decides between windows that cover about as much; None: the one that covers most."""
    reach: float = 0.1
    """How far likeness reaches, as a share (0-1): so many of the distances from a slice's windows to all windows seen
    are shorter than the one at which it has fallen to 1/e."""
    about_as_much: float = 0.95
    """Share (0-1) of the most that is covered."""

    def choose(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """One row per slice, in the order of time."""
        utility = self.criterion(candidates) if self.criterion else None
        nearest = np.full(len(candidates), np.inf)
        chosen = np.empty(budget, np.int64)
        for number, rows in enumerate(slices(len(candidates), budget)):
            away = distances(candidates.features[rows], candidates.features)
            seen = slice(rows[-1] + 1)
            place = self.best(away[:, seen], nearest[seen], None if utility is None else utility[rows])
            chosen[number] = rows[place]
            nearest = np.minimum(nearest, away[place])
        return chosen

    def best(self, away: Distances, nearest: Distances, utility: FloatArray | None) -> int:
        """Which of the n windows of one slice to ask about.

        Args:
            away: (n, S) distances to the S windows seen.
            nearest: (S,) distance of each window seen to the nearest one asked about in an earlier slice.
            utility: (n,) by the criterion; None: there is none.
        """
        gains = newly_covered(away, nearest, self.reach)
        if utility is None:
            return int(gains.argmax())
        return int(np.where(gains >= self.about_as_much * gains.max(), utility, -np.inf).argmax())


def newly_covered(away: Distances, nearest: Distances, reach: float) -> Distances:
    """(n,) how many windows each of n windows covers that are not covered yet: a sum of likenesses exp(-d / s), 0-1.

    s is the quantile `reach` of `away`, which see `SlicedCoverage.best`.
    """
    scale = max(float(np.quantile(away, reach)), IDENTICAL)
    added: Distances = np.maximum(np.exp(-away / scale) - np.exp(-nearest / scale), 0).sum(axis=1)
    return added


def distances(features: FloatArray, others: FloatArray) -> Distances:
    """(N, S) Euclidean distances between the rows of (N, E) and (S, E)."""
    rows, columns = features.astype(np.float64), others.astype(np.float64)
    squared = (rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1) - 2 * rows @ columns.T
    result: Distances = np.sqrt(np.maximum(squared, 0))
    return result
