"""What was seen in a session, in bounded memory, and how far a few chosen windows are from all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray
from mmal_ros.selector.coverage import Distances, distances

MOST = 2048
"""Windows that are remembered: a session of half an hour as it was, a longer one in every second window, then in every
fourth. Density and novelty are shares, so they stay what they are."""
PIECE = 256
"""So many of them are compared at once, in double precision: all of them would take some megabytes for a moment."""


class Memory:
    """Content of the windows seen, and the distances from those that are watched to all of them.

    Attributes:
        every: each window remembered stands for so many.
    """

    def __init__(self, size: int, most: int = MOST) -> None:
        """For vectors of `size` numbers; `most` of them, an even number."""
        self.every = 1
        self._most = most
        self._told = 0
        self._vectors = np.full((most, size), np.nan, np.float32)  # taken at once: a session is not seen to grow
        self._numbers = np.empty(0, np.int64)  # which window of the session each is
        self._watched: dict[int, tuple[FloatArray, Distances]] = {}

    def __contains__(self, window_id: int) -> bool:
        """Whether the window is watched."""
        return window_id in self._watched

    def add(self, number: int, window_id: int, vector: FloatArray) -> None:
        """Remember the next window, the `number`-th of the session, if it is its turn, and watch it in any case."""
        if len(self._numbers) == self._most:
            self._thin()
        if self._told % self.every == 0:
            self._store(number, vector)
        self._watched[window_id] = vector, self._away_from(vector)
        self._told += 1

    def same(self, window_id: int, as_id: int) -> None:
        """Watch a window that is as good as another one that is watched."""
        vector, away = self._watched[as_id]
        self._watched[window_id] = vector, away.copy()

    def watch_only(self, window_ids: Iterable[int]) -> None:
        """Of those that are watched let go of all others; who is not watched any more does not come back."""
        wanted = set(window_ids)
        self._watched = {window_id: rows for window_id, rows in self._watched.items() if window_id in wanted}

    def away(self, window_ids: Sequence[int]) -> Distances:
        """(n, S) distances of n watched windows, one or more, to the S that are remembered."""
        return np.stack([self._watched[window_id][1][: len(self._numbers)] for window_id in window_ids])

    def before(self, number: int) -> NDArray[np.bool_]:
        """(S,) which of the remembered windows came before the `number`-th of the session."""
        earlier: NDArray[np.bool_] = self._numbers < number
        return earlier

    def _away_from(self, vector: FloatArray) -> Distances:
        """Distances to all that is remembered, with room for what will be."""
        away = np.empty(self._most)
        for begin in range(0, len(self._numbers), PIECE):
            piece = slice(begin, min(begin + PIECE, len(self._numbers)))
            away[piece] = distances(vector[None], self._vectors[piece])[0]
        return away

    def _store(self, number: int, vector: FloatArray) -> None:
        place = len(self._numbers)
        self._vectors[place] = vector
        self._numbers = np.append(self._numbers, number)
        if self._watched:
            others = np.stack([theirs for theirs, _ in self._watched.values()])
            for (_, away), distance in zip(self._watched.values(), distances(others, vector[None])[:, 0], strict=True):
                away[place] = distance

    def _thin(self) -> None:
        """Keep every second one."""
        kept = len(self._numbers[::2])
        self._numbers = self._numbers[::2].copy()
        self._vectors[:kept] = self._vectors[::2].copy()
        for _, away in self._watched.values():
            away[:kept] = away[::2].copy()
        self.every *= 2
