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
MODALITIES, LEVELS = tuple(Modality), tuple(Level)
"""As tuples: to go through an Enum takes ten times as long."""
log = logging.getLogger(__name__)
Vote = tuple[FloatArray, float]
"""Probabilities (3,) and confidence of one modality."""
NO_VOTE: Vote = (UNKNOWN, 0.0)


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

    A GPU that fails while running is left for the CPU when `allow_fallback`, with an error in the log; else the
    error is raised.
    """

    def __init__(self, models: ModelSet, *, allow_fallback: bool = True) -> None:
        self.models = models
        self.fallbacks = 0
        self._allow_fallback = allow_fallback

    def estimate(self, window: Window) -> Estimate:
        """The estimate of one window."""
        status = _statuses(window)
        heard = [m for m in self.models.classifiers if status[m] is not Status.MISSING]
        if not heard:
            return self._fuse(window, status, {})
        votes = [self._run(self.models.classifiers[m], window.features[m], window.mask[m]) for m in heard]
        sureness = confidence(np.array(votes)).tolist()
        return self._fuse(window, status, dict(zip(heard, zip(votes, sureness, strict=True), strict=True)))

    def estimate_batch(self, windows: Sequence[Window]) -> list[Estimate]:
        """The estimates of many windows (copies, not views), bitwise those that `estimate` gives."""
        status = [_statuses(window) for window in windows]
        heard: list[dict[Modality, Vote]] = [{} for _ in windows]
        for modality, classifier in self.models.classifiers.items():
            indices = [i for i, of_one in enumerate(status) if of_one[modality] is not Status.MISSING]
            if not indices:
                continue
            features = _stacked([windows[i].features[modality] for i in indices])
            mask = _stacked([windows[i].mask[modality] for i in indices])
            votes = self._run(classifier, features, mask)
            for i, vote in zip(indices, zip(votes, confidence(votes).tolist(), strict=True), strict=True):
                heard[i][modality] = vote
        return [self._fuse(*of_one) for of_one in zip(windows, status, heard, strict=True)]

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

    def _fuse(self, window: Window, status: Mapping[Modality, Status], heard: Mapping[Modality, Vote]) -> Estimate:
        votes = [probabilities for probabilities, _ in heard.values()]
        everybody = {modality: heard.get(modality, NO_VOTE) for modality in MODALITIES}
        return Estimate(
            window_id=window.id,
            stamp_ns=window.end_ns,
            level=majority_vote(votes),
            probabilities=_mean(votes) if votes else UNKNOWN,
            by_modality={modality: vote[0] for modality, vote in everybody.items()},
            confidence={modality: vote[1] for modality, vote in everybody.items()},
            status=status,
            age_ns={modality: _age_ns(window, modality) for modality in MODALITIES},
            frames_seen={modality: window.frames_seen.get(modality, 0) for modality in MODALITIES},
            model_version=self.models.card.identity,
        )


def _mean(votes: Sequence[FloatArray]) -> FloatArray:
    """The mean of a few short arrays: np.mean costs ten times as much."""
    return sum(votes[1:], votes[0]) / np.float32(len(votes))


def _stacked(arrays: Sequence[FloatArray]) -> FloatArray:
    """Arrays of one shape, one after the other in a new first axis: np.stack costs three times as much."""
    return np.concatenate(arrays).reshape(len(arrays), *arrays[0].shape)


def _age_ns(window: Window, modality: Modality) -> int | None:
    newest = window.newest_ns.get(modality)
    return None if newest is None else window.end_ns - newest


def _statuses(window: Window) -> dict[Modality, Status]:
    return {m: status_of(window.coverage.get(m, 0.0), _age_ns(window, m)) for m in MODALITIES}
