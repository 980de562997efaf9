"""All estimates of a session once more, from its recorded features: by the same models bit by bit those of then.

Each recorded estimate tells of every modality how old its newest measurement was. So the frames up to that one are
what it had seen, whenever others came in, and its window can be cut again. What the recorder missed cannot be repeated
(features go best effort): frames that were seen are counted in the estimates too, so that it can be said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, STEPS_PER_WINDOW, Estimate, Level, Modality, Status
from mmal_ros.engagement import EngagementEstimator
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.models import ModelSet
from mmal_ros.pipeline import EngagementPipeline
from mmal_ros.recorded_windows import cut_at, score_recording, with_absent
from mmal_ros.session.card import SessionCard
from mmal_ros.session.cdr import Integers
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.message_columns import UNKNOWN, EstimateColumns
from mmal_ros.session.reading import read_features_and_estimates

WINDOW_NS = STEPS_PER_WINDOW * STEP_NS
BLOCK = 640
"""Windows that are cut and scored together: about a minute."""
THREADS = 2
ROUNDING_NS = 1_000
"""A message says ages in float32: they are rounded by less than this, and frames are farther apart."""
SETTLED = 20
UNCERTAIN = 1
"""Frames: whether an estimate had also seen one that came after its window changes from one to the next. So counts are
compared over so many estimates at both ends of a session, and are not taken for different where only this may be it."""
STATUS = {status: code for code, status in enumerate((Status.MISSING, Status.STALE, Status.VALID))}
MODALITIES = tuple(Modality)
COMPARED = ("level", "status", "probabilities", "by_modality", "confidence")
Progress = Callable[[int, int], None]
"""Told how many estimates of how many are done."""


@dataclass(frozen=True, slots=True, eq=False)
class Rescoring:
    """The estimates of then, and those of now; row by row of the same windows."""

    recorded: EstimateColumns
    """Empty: none was recorded."""
    scored: EstimateColumns
    equal: NDArray[np.bool_]
    """(N,) whether level, status, and every probability and confidence are the same bit by bit."""
    incomplete: NDArray[np.bool_]
    """(N,) whether the newest measurement of a modality that it had seen is not in the bag."""
    missed: Mapping[Modality, int]
    """How many frames more the estimates had seen than the bag holds, where it is more than one; less than 0: the bag
    holds more."""
    unheard: Mapping[Modality, str]
    """Modalities that were recorded with a feature set that the model does not hear, and which."""

    @property
    def same_level(self) -> float | None:
        """Share of the estimates that have the same level, or both none; None: there is nothing to compare."""
        return float((self.recorded.level == self.scored.level).mean()) if len(self.recorded) else None

    @property
    def same_model(self) -> bool:
        """Whether all of them are of this model set, by its name."""
        return len(self.recorded) > 0 and bool((self.recorded.model == self.scored.model).all())


def rescore(folder: SessionFolder, models: ModelSet, progress: Progress = lambda done, total: None) -> Rescoring:
    """Score a session again; raises SessionError where its bag cannot be read."""
    everything, recorded = read_features_and_estimates(folder)
    recording = everything.finite()  # as whoever estimated took it
    heard, unheard = _heard(recording, models.card.feature_sets)
    if not len(recorded):
        scored = columns_of(list(score_recording(_pipeline(models, folder.card()), heard)))
        nothing = np.zeros(0, bool)
        return Rescoring(recorded, scored, nothing, nothing, {}, unheard)
    seen = {m: _Seen.of(recorded, place, recording.arrays.get(m)) for place, m in enumerate(Modality)}
    scored = columns_of(list(_scored(models, heard, recorded, seen, progress)))
    return Rescoring(
        recorded,
        scored,
        _equal(recorded, scored),
        np.any([modality.incomplete for modality in seen.values()], axis=0),
        {m: modality.missed for m, modality in seen.items() if modality.missed},
        unheard,
    )


def columns_of(estimates: Sequence[Estimate]) -> EstimateColumns:
    """Estimates as a bag would give them back: what is a float there is one here."""
    of_each = [[estimate.age_ns[m] for m in Modality] for estimate in estimates]
    ages_ns = np.array(of_each, np.float64).reshape(-1, len(Modality))  # None becomes NaN
    return EstimateColumns(
        window_id=np.array([estimate.window_id for estimate in estimates], np.int64),
        stamp_ns=np.array([estimate.stamp_ns for estimate in estimates], np.int64),
        level=np.array([UNKNOWN if e.level is None else e.level for e in estimates], np.int8),
        probabilities=_floats([estimate.probabilities for estimate in estimates], len(Level)),
        by_modality=_floats([[e.by_modality[m] for m in MODALITIES] for e in estimates], len(Modality), len(Level)),
        confidence=_floats([[e.confidence[m] for m in MODALITIES] for e in estimates], len(Modality)),
        status=np.array([[STATUS[e.status[m]] for m in MODALITIES] for e in estimates], np.uint8).reshape(-1, 4),
        age_s=(ages_ns / NANOSECONDS_PER_SECOND).astype(np.float32),
        frames_seen=np.array([[e.frames_seen[m] for m in MODALITIES] for e in estimates], np.int64).reshape(-1, 4),
        model=np.array([estimate.model_version for estimate in estimates], np.str_),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """How much of one modality the recorded estimates had seen."""

    frames: Integers
    """(N,) of those in the bag: up to the newest one measured in the window, or before it where none is."""
    incomplete: NDArray[np.bool_]
    """(N,) whether that newest one is not in the bag."""
    missed: int
    """Frames that were seen and are not in the bag."""

    @classmethod
    def of(cls, recorded: EstimateColumns, place: int, columns: Mapping[str, NDArray[Any]] | None) -> _Seen:
        stamps_ns = columns["stamp_ns"] if columns else np.zeros(0, np.int64)
        valid_ns = stamps_ns[columns["valid"]] if columns else stamps_ns
        age_s = recorded.age_s[:, place].astype(np.float64)
        measured = ~np.isnan(age_s)
        age_ns = np.where(measured, np.rint(age_s * NANOSECONDS_PER_SECOND), WINDOW_NS).astype(np.int64)
        newest_ns = recorded.stamp_ns - age_ns
        frames = np.searchsorted(stamps_ns, newest_ns + ROUNDING_NS)
        nearest_ns = np.append(0, valid_ns)[np.searchsorted(valid_ns, newest_ns + ROUNDING_NS)]
        incomplete = measured & (nearest_ns < newest_ns - ROUNDING_NS)
        return cls(frames, incomplete, _missed(recorded.frames_seen[:, place], frames, measured & ~incomplete))


def _missed(frames_seen: Integers, frames: Integers, certain: NDArray[np.bool_]) -> int:
    """How much the lead of the estimates over the bag grew, between one start of the node and the next."""
    rows = certain if certain.any() else slice(None)
    lead = (frames_seen - frames)[rows]
    runs = np.split(lead, np.flatnonzero(np.diff(frames_seen[rows]) < 0) + 1)
    grown = sum(int(run[-SETTLED:].min() - run[:SETTLED].min()) for run in runs)
    return grown if abs(grown) > UNCERTAIN else 0


def _scored(
    models: ModelSet,
    heard: FeatureRecording,
    recorded: EstimateColumns,
    seen: Mapping[Modality, _Seen],
    progress: Progress,
) -> Iterator[Estimate]:
    """The estimates of the recorded windows; blocks of them in threads, since ONNX Runtime lets go of the lock."""
    estimator = EngagementEstimator(models)
    period_ns = int(recorded.stamp_ns[0] // recorded.window_id[0])
    whole = with_absent(heard, models.card.feature_sets)

    def block(rows: slice) -> list[Estimate]:
        ends_ns = recorded.stamp_ns[rows]
        of_each = {m: seen[m].frames[rows] if m in heard.arrays else np.zeros_like(ends_ns) for m in whole.arrays}
        windows = cut_at(whole, ends_ns, of_each, period_ns)
        return [estimate for batch in windows for estimate in estimator.estimate_columns(batch)]

    blocks = [slice(first, min(first + BLOCK, len(recorded))) for first in range(0, len(recorded), BLOCK)]
    with ThreadPoolExecutor(THREADS) as pool:
        for rows, estimates in zip(blocks, pool.map(block, blocks), strict=True):
            yield from estimates
            progress(rows.stop, len(recorded))


def _heard(
    recording: FeatureRecording, feature_sets: Mapping[Modality, str]
) -> tuple[FeatureRecording, dict[Modality, str]]:
    """What the model hears of a recording, and the feature sets of what it does not."""
    sets = {modality: str(columns["feature_set"]) for modality, columns in recording.arrays.items()}
    unheard = {m: name for m, name in sets.items() if name != feature_sets.get(m)}
    arrays = {m: columns for m, columns in recording.arrays.items() if m not in unheard}
    return FeatureRecording(recording.start_ns, arrays), unheard


def _equal(recorded: EstimateColumns, scored: EstimateColumns) -> NDArray[np.bool_]:
    pairs = [(getattr(recorded, name), getattr(scored, name)) for name in COMPARED]
    same = [_bits(one) == _bits(other) for one, other in pairs]
    equal: NDArray[np.bool_] = np.all([rows.reshape(len(recorded), -1).all(axis=1) for rows in same], axis=0)
    return equal


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    return values.view(np.int32) if values.dtype == np.float32 else values


def _floats(rows: Sequence[Any], *shape: int) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, *shape)


def _pipeline(models: ModelSet, card: SessionCard) -> EngagementPipeline:
    return EngagementPipeline(models, rate_hz=card.rate_hz, max_delay_ns=round(card.max_delay_ms * 1_000_000))
