"""From a window to an estimate: one classifier per modality, then the majority vote."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmal_ros.datatypes import STEP_NS, Estimate, FloatArray, Level, Modality, Status, Window
from mmal_ros.model_card import ModelError
from mmal_ros.models import PROVIDERS, Classifier, ModelSet
from mmal_ros.uncertainty import confidence

LEAST_COVERAGE = 0.5
"""A modality with fewer than half of its steps valid is missing in that window (docs/features.md, handling)."""
FRESH_NS = 5 * STEP_NS
"""A gap that is held (300 ms) and a packet of a wristband (200 ms): what is older is stale."""
UNKNOWN = np.full(len(Level), 1 / len(Level), np.float32)
UNKNOWN.flags.writeable = False
MODALITIES, LEVELS = tuple(Modality), tuple(Level)
"""As tuples: to go through an Enum takes ten times as long."""
log = logging.getLogger(__name__)


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


@dataclass(slots=True)
class _Hearing:
    """What is known of a window, and what its classifiers have said so far."""

    window: Window
    age_ns: dict[Modality, int | None]
    status: dict[Modality, Status]
    by_modality: dict[Modality, FloatArray]
    """UNKNOWN where nothing was said."""
    confidence: dict[Modality, float]


def _listen_to(window: Window) -> _Hearing:
    newest_ns, coverage, end_ns = window.newest_ns, window.coverage, window.end_ns
    age_ns = {m: None if (stamp_ns := newest_ns.get(m)) is None else end_ns - stamp_ns for m in MODALITIES}
    status = {m: status_of(coverage.get(m, 0.0), age_ns[m]) for m in MODALITIES}
    return _Hearing(window, age_ns, status, dict.fromkeys(MODALITIES, UNKNOWN), dict.fromkeys(MODALITIES, 0.0))


class EngagementEstimator:
    """Runs a model set on windows.

    A GPU that fails while running is left for the CPU when `allow_fallback`, with an error in the log; else the
    error is raised.
    """

    def __init__(self, models: ModelSet, *, allow_fallback: bool = True) -> None:
        self.models = models
        self.fallbacks = 0
        self._allow_fallback = allow_fallback

    def estimate(self, window: Window) -> Estimate:
        """The estimate of one window."""
        hearing = _listen_to(window)
        heard = [m for m in self.models.classifiers if hearing.status[m] is not Status.MISSING]
        votes = [self._run(self.models.classifiers[m], window.features[m], window.mask[m]) for m in heard]
        if votes:
            hearing.by_modality.update(zip(heard, votes, strict=True))
            hearing.confidence.update(zip(heard, confidence(np.array(votes)).tolist(), strict=True))
        return self._fuse(hearing)

    def estimate_batch(self, windows: Sequence[Window]) -> list[Estimate]:
        """The estimates of many windows (copies, not views), bitwise those that `estimate` gives."""
        hearings = [_listen_to(window) for window in windows]
        for modality, classifier in self.models.classifiers.items():
            heard = [hearing for hearing in hearings if hearing.status[modality] is not Status.MISSING]
            if not heard:
                continue
            features = _stacked([hearing.window.features[modality] for hearing in heard])
            mask = _stacked([hearing.window.mask[modality] for hearing in heard])
            votes = self._run(classifier, features, mask)
            for hearing, vote, sureness in zip(heard, votes, confidence(votes).tolist(), strict=True):
                hearing.by_modality[modality] = vote
                hearing.confidence[modality] = sureness
        return [self._fuse(hearing) for hearing in hearings]

    def _run(self, classifier: Classifier, features: FloatArray, mask: FloatArray) -> FloatArray:
        """Probabilities of one window, (T, D) and (T,), or of many, (N, T, D) and (N, T)."""
        answer = classifier if features.ndim == 2 else classifier.batch
        try:
            return answer(features, mask)
        except Exception as error:  # ONNX Runtime raises a dozen types of its own
            if classifier.provider == PROVIDERS["cpu"] or not self._allow_fallback:
                raise ModelError(f"{classifier.path} failed on {classifier.provider}: {error}") from error
            log.error("%s failed on %s and goes on on the CPU: %s", classifier.path, classifier.provider, error)
            self.fallbacks += 1
            classifier.fall_back_to_cpu()
            return answer(features, mask)

    def _fuse(self, hearing: _Hearing) -> Estimate:
        window, said = hearing.window, hearing.by_modality
        votes = [said[modality] for modality in self.models.classifiers if said[modality] is not UNKNOWN]
        return Estimate(
            window_id=window.id,
            stamp_ns=window.end_ns,
            level=majority_vote(votes),
            probabilities=_mean(votes) if votes else UNKNOWN,
            by_modality=said,
            confidence=hearing.confidence,
            status=hearing.status,
            age_ns=hearing.age_ns,
            frames_seen={modality: window.frames_seen.get(modality, 0) for modality in MODALITIES},
            model_version=self.models.card.identity,
        )


def _mean(votes: Sequence[FloatArray]) -> FloatArray:
    """The mean of a few short arrays: np.mean costs ten times as much."""
    return sum(votes[1:], votes[0]) / np.float32(len(votes))


def _stacked(arrays: Sequence[FloatArray]) -> FloatArray:
    """Arrays of one shape, one after the other in a new first axis: np.stack costs three times as much."""
    return np.concatenate(arrays).reshape(len(arrays), *arrays[0].shape)
