"""The vocabulary of choosing: candidates, criteria, selectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Windows that may be asked about, in the order of time. N windows, M = 4 modalities in the order of `Modality`."""

    probabilities: FloatArray
    """(N, M, 3) calibrated; 1/3 where the modality is not heard."""
    heard: NDArray[np.bool_]
    """(N, M) whether the modality votes."""
    features: FloatArray
    """(N, E) what a distance between windows is measured in: standardised, mean over the steps, 0 where not heard."""
    times_s: NDArray[np.float64]
    """(N,) when; rising. A pause in the recording is a jump."""

    def __len__(self) -> int:
        return len(self.times_s)

    def take(self, rows: Indices) -> Candidates:
        """Only these windows."""
        return Candidates(self.probabilities[rows], self.heard[rows], self.features[rows], self.times_s[rows])


Criterion = Callable[[Candidates], FloatArray]
"""Utility (N,) of each candidate: higher is asked first."""


class Selector(Protocol):
    """Spends a budget of labels."""

    def select(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """Rows to ask about, in the order of asking: min(budget, N) of them, none twice.

        The same candidates, budget and state of `random` give the same rows.
        """


class HeardFirst(ABC):
    """A selector for which a window in which nothing is heard comes last: its label can teach no classifier."""

    def select(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """See `Selector.select`; ValueError for a budget below 0."""
        if budget < 0:
            raise ValueError(f"a budget of {budget} labels; expected 0 or more")
        anything = candidates.heard.any(axis=1)
        rows, silent = np.flatnonzero(anything), np.flatnonzero(~anything)
        count = min(budget, len(rows))
        chosen = rows[self.choose(candidates.take(rows), count, random)] if count else rows[:0]
        return np.concatenate([chosen, silent[: budget - count]])

    @abstractmethod
    def choose(self, candidates: Candidates, budget: int, random: np.random.Generator) -> Indices:
        """Exactly `budget` different rows, 1 <= budget <= N; something is heard in every candidate."""
