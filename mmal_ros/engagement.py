"""From a window to an estimate: one classifier per modality, then the majority vote."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from mmal_ros.datatypes import STEP_NS, Estimate, FloatArray, Level, Modality, Status, Window
from mmal_ros.model_card import ModelError
from mmal_ros.models import PROVIDERS, Classifier, ModelSet
from mmal_ros.uncertainty import confidence
from mmal_ros.windowing import HOLD_STEPS

LEAST_COVERAGE = 0.5
"""A modality with fewer than half of its steps valid is missing in that window (docs/features.md, handling)."""
FRESH_NS = HOLD_STEPS * STEP_NS
"""Older than a gap that may be bridged: the modality is stale."""
UNKNOWN = np.full(len(Level), 1 / len(Level), np.float32)
UNKNOWN.flags.writeable = False
log = logging.getLogger(__name__)
Vote = tuple[FloatArray, float]
"""Probabilities (3,) and confidence of one modality."""


def majority_vote(probabilities: Sequence[FloatArray]) -> Level | None:
    """The level most modalities find likeliest; a tie goes to the tied level with the highest single probability.

    Args:
        probabilities: (3,) per voting modality; none: there is no level.

    Source: MMQL 2019, sec. 3.3; the tie rule is ours (the paper leaves it open).
    """
    if not probabilities:
        return None
    votes = [0] * len(Level)
    best = [0.0] * len(Level)
    for values in probabilities:
        of_one = values.tolist()
        winner = of_one.index(max(of_one))
        votes[winner] += 1
        best = [max(pair) for pair in zip(best, of_one, strict=True)]
    return max(Level, key=lambda level: (votes[level], best[level]))


def status_of(coverage: float, age_ns: int | None) -> Status:
    """Whether a modality can be heard, from its coverage (0-1) and the age of its newest measurement."""
    if coverage < LEAST_COVERAGE or age_ns is None:
        return Status.MISSING
    return Status.STALE if age_ns > FRESH_NS else Status.VALID


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
        heard = [m for m in self.models.classifiers if _status(window, m) is not Status.MISSING]
        if not heard:
            return self._fuse(window, {})
        votes = np.stack([self._run(self.models.classifiers[m], window.features[m], window.mask[m]) for m in heard])
        return self._fuse(window, dict(zip(heard, zip(votes, confidence(votes).tolist(), strict=True), strict=True)))

    def estimate_batch(self, windows: Sequence[Window]) -> list[Estimate]:
        """The estimates of many windows (copies, not views), bitwise those that `estimate` gives."""
        heard: list[dict[Modality, Vote]] = [{} for _ in windows]
        for modality, classifier in self.models.classifiers.items():
            indices = [i for i, window in enumerate(windows) if _status(window, modality) is not Status.MISSING]
            if not indices:
                continue
            features = np.stack([windows[i].features[modality] for i in indices])
            mask = np.stack([windows[i].mask[modality] for i in indices])
            votes = self._run(classifier, features, mask)
            for i, *vote in zip(indices, votes, confidence(votes).tolist(), strict=True):
                heard[i][modality] = (vote[0], vote[1])
        return [self._fuse(window, votes) for window, votes in zip(windows, heard, strict=True)]

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

    def _fuse(self, window: Window, heard: Mapping[Modality, Vote]) -> Estimate:
        votes = [probabilities for probabilities, _ in heard.values()]
        ages_ns = {modality: _age_ns(window, modality) for modality in Modality}
        return Estimate(
            window_id=window.id,
            stamp_ns=window.end_ns,
            level=majority_vote(votes),
            probabilities=_mean(votes) if votes else UNKNOWN,
            by_modality={m: heard[m][0] if m in heard else UNKNOWN for m in Modality},
            confidence={m: heard[m][1] if m in heard else 0.0 for m in Modality},
            status={m: status_of(window.coverage.get(m, 0.0), ages_ns[m]) for m in Modality},
            age_ns=ages_ns,
            frames_seen={modality: window.frames_seen.get(modality, 0) for modality in Modality},
            model_version=self.models.card.identity,
        )


def _mean(votes: Sequence[FloatArray]) -> FloatArray:
    """The mean of a few short arrays: np.mean costs ten times as much."""
    return sum(votes[1:], votes[0]) / np.float32(len(votes))


def _age_ns(window: Window, modality: Modality) -> int | None:
    newest = window.newest_ns.get(modality)
    return None if newest is None else window.end_ns - newest


def _status(window: Window, modality: Modality) -> Status:
    return status_of(window.coverage.get(modality, 0.0), _age_ns(window, modality))
