"""`mmal run --fast`: recordings, or a recording of features, scored as fast as they go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from time import time_ns

from mmal_ros.cli.run_options import RunOptions
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, STEP_NS, Estimate, FeatureFrame
from mmal_ros.features.recording import read_recording, write_recording
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.offline import recorded_frames
from mmal_ros.paths import find_model
from mmal_ros.pipeline import EngagementPipeline, score
from mmal_ros.recorded_windows import score_recording

Frames = Iterator[tuple[int, FeatureFrame | None]]


def score_sources(options: RunOptions, save_features: Path | None) -> tuple[int, Iterator[Estimate]]:
    """When the run begins, and its estimates; the features are written when the last estimate was taken."""
    models = load_model_set(find_model(options.model), options.providers)
    start_ns = (time_ns() // STEP_NS + 1) * STEP_NS
    frames = recorded_frames(options.specs, start_ns, models.card.audio_features, until_last=options.until_last)
    frames = _until(frames, start_ns, options.duration_s)
    if save_features is not None:
        frames = _saving(frames, start_ns, save_features)  # last, for it has to see the end
    return start_ns, score(_pipeline(options, models), frames, start_ns)


def score_features(options: RunOptions, path: Path) -> tuple[int, Iterator[Estimate]]:
    """When a recording of features began, and its estimates."""
    recording = read_recording(path)
    models = load_model_set(find_model(options.model), options.providers)
    if options.duration_s is not None:
        recording = recording.until(recording.start_ns + round(options.duration_s * NANOSECONDS_PER_SECOND))
    return recording.start_ns, score_recording(_pipeline(options, models), recording)


def _pipeline(options: RunOptions, models: ModelSet) -> EngagementPipeline:
    return EngagementPipeline(models, rate_hz=options.rate_hz, max_delay_ns=round(options.max_delay_ms * 1_000_000))


def _saving(frames: Frames, start_ns: int, path: Path) -> Frames:
    """Pass frames on and write them down when they end."""
    kept: list[tuple[int, FeatureFrame]] = []
    for known_ns, frame in frames:
        if frame is not None:
            kept.append((known_ns, frame))
        yield known_ns, frame
    write_recording(path, start_ns, kept)


def _until(frames: Iterable[tuple[int, FeatureFrame | None]], start_ns: int, duration_s: float | None) -> Frames:
    for known_ns, frame in frames:
        if duration_s is None or known_ns <= start_ns + duration_s * NANOSECONDS_PER_SECOND:
            yield known_ns, frame
        elif frame is None:
            return
