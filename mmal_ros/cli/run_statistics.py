"""What a run amounted to: how many estimates, how fast, and, where the truth is known, how often they were right."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray, Level, Modality

KEPT = 36_000
"""An hour at 10 Hz: percentiles need no more."""


@dataclass(frozen=True, slots=True)
class Score:
    """How well predictions fit the truth."""

    accuracy: float
    """Share that is right, 0-1; nan when there is nothing to judge."""
    macro_f1: float
    """Mean F1 over the classes that occur in the truth, 0-1."""
    constant: float
    """Accuracy of always answering the commonest class of the truth: what accuracy must be compared with."""
    count: int


def score_confusion(confusion: NDArray[np.int64]) -> Score:
    """The score of a confusion matrix (truth, prediction), (3, 3)."""
    total = int(confusion.sum())
    if not total:
        return Score(math.nan, math.nan, math.nan, 0)
    right, of_truth, of_prediction = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    present = of_truth > 0
    f1 = 2 * right[present] / (of_truth[present] + of_prediction[present])
    return Score(float(right.sum() / total), float(f1.mean()), float(of_truth.max() / total), total)


class Times:
    """The last `KEPT` of them; takes its memory at once, so that a run does not grow."""

    def __init__(self) -> None:
        self._values_s = np.full(KEPT, np.nan, np.float32)
        self._count = 0

    def add(self, seconds: float) -> None:
        """One more."""
        self._values_s[self._count % KEPT] = seconds
        self._count += 1

    def percentiles_ms(self) -> tuple[float, float]:
        """Median and 99th percentile in milliseconds; nan when there are no values."""
        if not self._count:
            return math.nan, math.nan
        median, high = np.percentile(self._values_s[: self._count] * 1000, [50, 99])
        return float(median), float(high)


@dataclass
class RunStatistics:
    """Counts what a run says; bounded, however long it lasts."""

    estimates: int = 0
    unknown: int = 0
    latencies: Times = field(default_factory=Times)
    compute_times: Times = field(default_factory=Times)
    confusion: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def note(self, level: Level | None, latency_s: float, compute_time_s: float) -> None:
        """One estimate came."""
        self.estimates += 1
        self.unknown += level is None
        self.compute_times.add(compute_time_s)
        if math.isfinite(latency_s):
            self.latencies.add(latency_s)

    def judge(self, truth: Level, level: Level | None, by_modality: dict[Modality, FloatArray]) -> None:
        """Compare with the truth: the vote, and each modality that could be heard."""
        if level is not None:
            self._count("all together", truth, level)
        for modality, probabilities in by_modality.items():
            self._count(modality.value, truth, int(np.argmax(probabilities)))

    def scores(self) -> dict[str, Score]:
        """The scores of each modality and of the vote."""
        return {name: score_confusion(matrix) for name, matrix in self.confusion.items()}

    def _count(self, name: str, truth: int, prediction: int) -> None:
        matrix = self.confusion.setdefault(name, np.zeros((len(Level), len(Level)), np.int64))
        matrix[truth, prediction] += 1
