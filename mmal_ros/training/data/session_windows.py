"""One recorded session as windows: those of the live graph, at its rate, each with what was known when it was due.

Kept are the labelled ones, and of the others one every 0.67 s, fewer in a long session: they tell how a person is, and
take part in what the labels beside them say. What nothing is heard in is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray, Level, Modality
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.recorded_windows import cut_windows
from mmal_ros.session.card import SessionCard, SessionError
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.reading import read_features
from mmal_ros.training.data.cutting import HOP_NS
from mmal_ros.window_columns import WindowColumns
from mmal_ros.window_stream import WindowStream
from mmal_ros.windowing import LEAST_COVERAGE, copy_of

NO_LABEL = -1
"""In the place of a level where nobody labelled, or coders do not agree."""
MOST_WINDOWS = 2_000
"""Unlabelled windows of a session: 22 minutes of one every 0.67 s, or a longer time more thinly."""
BATCH = 64
Levels = Mapping[int, Level]
"""By the end of the window, in ns."""


@dataclass(frozen=True, slots=True, eq=False)
class SessionWindows:
    """N windows of one session in the order of time; arrays are empty where N is 0."""

    name: str
    ends_ns: NDArray[np.int64]
    features: Mapping[Modality, FloatArray]
    """(N, T, D)."""
    mask: Mapping[Modality, FloatArray]
    """(N, T)."""
    labels: NDArray[np.int64]
    """(N,) the level, or `NO_LABEL`."""
    unheard: int
    """Labels of windows in which nothing was recorded; nothing can be learned from them."""


def session_windows(session: SessionFolder, feature_sets: Mapping[Modality, str], levels: Levels) -> SessionWindows:
    """Cut a session.

    Args:
        session: with a recording of features.
        feature_sets: what the model hears. What else was recorded is left out; what was not is not known.
        levels: the labels. A label between two windows, as other software may give it, is of the nearest one.

    Raises:
        SessionError: it was recorded with other features than the model hears.
    """
    recording, card = read_features(session), session.card()
    _check_features(session, recording, feature_sets)
    stream = WindowStream(feature_sets, card.rate_hz, round(card.max_delay_ms * 1_000_000))
    period_ns = stream.windows.period_ns
    on_grid = {round(end_ns / period_ns) * period_ns: level for end_ns, level in levels.items()}
    hop_ns = max(HOP_NS, _length_ns(card, recording) // MOST_WINDOWS)
    kept = list(_kept(_batches(stream, recording), on_grid, hop_ns))
    ends_ns = np.array([end_ns for part in kept for end_ns in part.end_ns], np.int64)
    labels = np.array([on_grid.get(end_ns, NO_LABEL) for end_ns in ends_ns.tolist()], np.int64)
    features = {m: np.concatenate([part.features[m] for part in kept]) for m in feature_sets} if kept else {}
    mask = {m: np.concatenate([part.mask[m] for part in kept]) for m in feature_sets} if kept else {}
    missing = len(on_grid) - int((labels != NO_LABEL).sum())
    return SessionWindows(session.name, ends_ns, features, mask, labels, missing)


def _check_features(session: SessionFolder, recording: FeatureRecording, feature_sets: Mapping[Modality, str]) -> None:
    for modality, columns in recording.arrays.items():
        found, expected = str(columns["feature_set"]), feature_sets.get(modality)
        if expected is not None and found != expected:
            raise SessionError(
                f"{session.name} was recorded with the {modality} features '{found}', the model hears '{expected}'; "
                "start from a model that hears them (--from), or leave the session out (--sessions)"
            )


def _length_ns(card: SessionCard, recording: FeatureRecording) -> int:
    last_ns = max((int(c["known_ns"][-1]) for c in recording.arrays.values() if len(c["known_ns"])), default=0)
    return max(last_ns - card.start_ns, 0)


def _batches(stream: WindowStream, recording: FeatureRecording) -> Iterator[WindowColumns]:
    """All windows of the session, as the live graph cut them."""
    cut = cut_windows(stream, recording)
    if cut is not None:
        yield from cut
        return
    one_by_one = map(copy_of, stream.replay(recording.frames(), recording.start_ns))
    while batch := list(islice(one_by_one, BATCH)):
        yield WindowColumns.of(batch)


def _kept(batches: Iterable[WindowColumns], levels: Levels, hop_ns: int) -> Iterator[WindowColumns]:
    """The windows with a label, and one every `hop_ns`; without those in which nothing is heard."""
    next_ns = 0
    for batch in batches:
        rows = []
        heard = _heard(batch)
        for row, end_ns in enumerate(batch.end_ns):
            due = end_ns >= next_ns
            if due:
                next_ns = end_ns - end_ns % hop_ns + hop_ns
            if heard[row] and (due or end_ns in levels):
                rows.append(row)
        if rows:
            yield _take(batch, rows)


def _heard(batch: WindowColumns) -> NDArray[np.bool_]:
    """(N,) whether any modality can be heard, by the rule of the live graph."""
    heard: NDArray[np.bool_] = np.max(list(batch.coverage.values()), axis=0) >= LEAST_COVERAGE
    return heard


def _take(batch: WindowColumns, rows: Sequence[int]) -> WindowColumns:
    return WindowColumns(
        [batch.id[row] for row in rows],
        [batch.end_ns[row] for row in rows],
        {m: values[rows] for m, values in batch.features.items()},
        {m: values[rows] for m, values in batch.mask.items()},
        {},
        {},
        {},
    )
