"""From a window to an estimate: one classifier per modality, then the majority vote.

In a person's own model set a second opinion, learned from her labels alone, is averaged with the modalities, and the
level is the likeliest of the average.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmal_ros.datatypes import STEP_NS, Estimate, FloatArray, Level, Modality, Status, Window
from mmal_ros.models import Classifier, ModelSet
from mmal_ros.uncertainty import confidence
from mmal_ros.window_columns import WindowColumns
from mmal_ros.windowing import LEAST_COVERAGE

FRESH_NS = 5 * STEP_NS
"""A gap that is held (300 ms) and a packet of a wristband (200 ms): what is older is stale."""
UNKNOWN = np.full(len(Level), 1 / len(Level), np.float32)
UNKNOWN.flags.writeable = False
MODALITIES, LEVELS = tuple(Modality), tuple(Level)
"""As tuples: to go through an Enum takes ten times as long."""
_Columns = tuple[list[FloatArray], list[float], list[Status], list[int | None], Sequence[int]]


def majority_vote(probabilities: Sequence[FloatArray]) -> Level | None:
    """The level most modalities find likeliest; a tie goes to the tied level with the highest single probability.

    Args:
        probabilities: (3,) per voting modality; none: there is no level.

    Source: MMQL 2019, sec. 3.3; the tie rule is ours (the paper leaves it open).
    """
    if not probabilities:
        return None
    rows = [values.tolist() for values in probabilities]
    votes = [0] * len(LEVELS)
    for row in rows:
        votes[row.index(max(row))] += 1
    standing = list(zip(votes, map(max, zip(*rows, strict=True)), strict=True))
    return LEVELS[standing.index(max(standing))]


def status_of(coverage: float, age_ns: int | None) -> Status:
    """Whether a modality can be heard, from its coverage (0-1) and the age of its newest measurement."""
    if coverage < LEAST_COVERAGE or age_ns is None:
        return Status.MISSING
    return Status.STALE if age_ns > FRESH_NS else Status.VALID


class EngagementEstimator:
    """Runs a model set on windows.

    A GPU that fails while running is left for the CPU when `allow_fallback`, with an error in the log; else ModelError
    is raised.
    """

    def __init__(self, models: ModelSet, *, allow_fallback: bool = True) -> None:
        self.models = models
        self._allow_fallback = allow_fallback

    @property
    def fallbacks(self) -> int:
        """How many classifiers a GPU failed."""
        return sum(classifier.fell_back for classifier in self.models.classifiers.values())

    def estimate(self, window: Window) -> Estimate:
        """The estimate of one window."""
        age_ns = {m: _age_ns(window.end_ns, window.newest_ns.get(m)) for m in MODALITIES}
        status = {m: status_of(window.coverage.get(m, 0.0), age_ns[m]) for m in MODALITIES}
        heard = [m for m in self.models.classifiers if status[m] is not Status.MISSING]
        votes = [self._run(self.models.classifiers[m], window.features[m], window.mask[m]) for m in heard]
        sureness = confidence(np.array(votes)).tolist() if votes else []
        return self._fuse(
            window.id,
            window.end_ns,
            dict.fromkeys(MODALITIES, UNKNOWN) | dict(zip(heard, votes, strict=True)),
            dict.fromkeys(MODALITIES, 0.0) | dict(zip(heard, sureness, strict=True)),
            status,
            age_ns,
            {m: window.frames_seen.get(m, 0) for m in MODALITIES},
            self.models.personal(window.features, window.mask) if self.models.personal and votes else None,
        )

    def estimate_batch(self, windows: Sequence[Window]) -> list[Estimate]:
        """The estimates of many windows, bitwise those that `estimate` gives."""
        return self.estimate_columns(WindowColumns.of(windows)) if windows else []

    def estimate_columns(self, windows: WindowColumns) -> list[Estimate]:
        """The estimates of many windows, bitwise those that `estimate` gives."""
        columns = [self._columns(windows, modality) for modality in MODALITIES]
        by_window = map(_by_window, zip(*columns, strict=True))
        personal = self.models.personal
        second = personal.batch(windows.features, windows.mask) if personal else [None] * len(windows.id)
        return [self._fuse(*fields) for fields in zip(windows.id, windows.end_ns, *by_window, second, strict=True)]

    def _columns(self, windows: WindowColumns, modality: Modality) -> _Columns:
        """Probabilities, confidence, status, age and frames seen of one modality in all windows."""
        count = len(windows.id)
        newest_ns = windows.newest_ns.get(modality, [None] * count)
        age_ns = list(map(_age_ns, windows.end_ns, newest_ns))
        status = list(map(status_of, windows.coverage.get(modality, [0.0] * count), age_ns))
        probabilities, sureness = [UNKNOWN] * count, [0.0] * count
        heard = [i for i in range(count) if status[i] is not Status.MISSING]
        if heard and modality in self.models.classifiers:
            rows = heard if len(heard) < count else slice(None)  # without a copy, where all of them are
            features, mask = windows.features[modality][rows], windows.mask[modality][rows]
            votes = self._run(self.models.classifiers[modality], features, mask)
            for i, vote, sure in zip(heard, votes, confidence(votes).tolist(), strict=True):
                probabilities[i], sureness[i] = vote, sure
        return probabilities, sureness, status, age_ns, windows.frames_seen.get(modality, [0] * count)

    def _run(self, classifier: Classifier, features: FloatArray, mask: FloatArray) -> FloatArray:
        """Probabilities of one window, (T, D) and (T,), or of many, (N, T, D) and (N, T)."""
        return classifier.answer(features, mask, allow_fallback=self._allow_fallback)

    def _fuse(
        self,
        window_id: int,
        end_ns: int,
        by_modality: Mapping[Modality, FloatArray],
        sureness: Mapping[Modality, float],
        status: Mapping[Modality, Status],
        age_ns: Mapping[Modality, int | None],
        frames_seen: Mapping[Modality, int],
        second: FloatArray | None,
    ) -> Estimate:
        votes = [by_modality[m] for m in self.models.classifiers if by_modality[m] is not UNKNOWN]
        level, probabilities = self._outcome(votes, second)
        return Estimate(
            window_id=window_id,
            stamp_ns=end_ns,
            level=level,
            probabilities=probabilities,
            by_modality=by_modality,
            confidence=sureness,
            status=status,
            age_ns=age_ns,
            frames_seen=frames_seen,
            model_version=self.models.card.identity,
        )

    def _outcome(self, votes: Sequence[FloatArray], second: FloatArray | None) -> tuple[Level | None, FloatArray]:
        """Level and probabilities (3,), from those of the modalities heard and of the second opinion, if there is one.

        A second opinion alone is none: it says something even of a window in which nothing is heard.
        """
        if not votes:
            return None, UNKNOWN
        if self.models.personal is None or second is None:
            return majority_vote(votes), _mean(votes)
        averaged = self.models.personal.beside(_mean(votes), second)
        return LEVELS[averaged.argmax()], averaged


def _mean(votes: Sequence[FloatArray]) -> FloatArray:
    """The mean of a few short arrays: np.mean costs ten times as much."""
    return sum(votes[1:], votes[0]) / np.float32(len(votes))


def _age_ns(end_ns: int, newest_ns: int | None) -> int | None:
    return None if newest_ns is None else end_ns - newest_ns


def _by_window(columns: Iterable[Sequence[Any]]) -> list[dict[Modality, Any]]:
    """One field of all modalities, (M, N), as N mappings."""
    return [dict(zip(MODALITIES, row, strict=True)) for row in zip(*columns, strict=True)]
