"""Selectors that look at each window on its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmal_ros.selector.candidates import Candidates, Criterion, HeardFirst, Indices


class Random(HeardFirst):
    """Any windows (RND of MMQL 2019)."""

    def choose(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """Without replacement, all alike."""
        rows: Indices = random.permutation(len(candidates))
        return rows[:budget]


class EvenlyInTime(HeardFirst):
    """The middle window of each of as many slices of the session as there are labels."""

    def choose(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """In the order of time; nothing is random."""
        return np.array([rows[len(rows) // 2] for rows in slices(len(candidates), budget)])


@dataclass(frozen=True, slots=True)
class Best(HeardFirst):
    """The windows that a criterion puts highest."""

    criterion: Criterion

    def choose(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """The highest first; equal ones in random order, or a criterion of few values would ask for neighbours."""
        return _highest_first(self.criterion(candidates), random.permutation(len(candidates)))[:budget]


@dataclass(frozen=True, slots=True)
class FirstAsked(HeardFirst):
    """The first windows, in random order, that a policy asks about; too few: then the highest of the rest.

    Source: MMQL 2019, algorithm 2; the filling is ours (the paper leaves it open).
    """

    criterion: Criterion
    threshold: float = 0.0
    """Above it the policy asks."""

    def choose(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """Those asked about in the order they came, then the rest from the highest down."""
        order, asks, utility = self._search(candidates, random)
        rows: Indices = np.concatenate([order[asks], _highest_first(utility, order[~asks])])
        return rows[:budget]

    def searched_share(self, candidates: Candidates, budget: int, random: np.random.Generator) -> float:
        """Share (0-1) of the candidates heard that is looked at until the budget is spent; 1: never by asking alone.

        The search that `select` makes with the same state of `random`: among the windows in which anything is heard.
        """
        _, asks, _ = self._search(candidates.take(np.flatnonzero(candidates.heard.any(axis=1))), random)
        places = np.flatnonzero(asks)
        return float(places[budget - 1] + 1) / len(asks) if 0 < budget <= len(places) else float(budget > 0)

    def _search(
        self, candidates: Candidates, random: np.random.Generator
    ) -> tuple[Indices, NDArray[np.bool_], NDArray[np.float32]]:
        """The order of looking (N,), whether the policy asks there (N,), and the utilities (N,) by row."""
        order, utility = random.permutation(len(candidates)), self.criterion(candidates)
        return order, utility[order] > self.threshold, utility


def slices(count: int, parts: int) -> list[Indices]:
    """The rows 0 to count - 1 in `parts` slices, in order, equal but for one row; parts <= count, so none is empty.

    Slices are of recorded time: windows are counted, so that a pause in the recording costs no label.
    """
    return np.array_split(np.arange(count), parts)


def _highest_first(utility: NDArray[np.float32], rows: Indices) -> Indices:
    """The rows from the highest utility down; equal ones stay in the order given."""
    return rows[np.argsort(-utility[rows], kind="stable")]
