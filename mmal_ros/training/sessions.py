"""Synthetic sessions: simulated people through the real extractors, kept on disk, cut into windows with the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmal_ros import datatypes, features
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, FloatArray, Level, Modality, Window
from mmal_ros.features.audio import audio_extractor
from mmal_ros.features.physiology import PhysiologyExtractor
from mmal_ros.features.recording import FeatureRecording, read_recording, write_recording
from mmal_ros.features.vision import VisionExtractor
from mmal_ros.pipeline import frames_of_samples
from mmal_ros.sensors import synthetic
from mmal_ros.sensors.synthetic import (
    EngagementScript,
    Person,
    SyntheticCamera,
    SyntheticMicrophone,
    SyntheticWristband,
)
from mmal_ros.training import fingerprints
from mmal_ros.window_stream import WindowStream
from mmal_ros.windowing import copy_of

START_NS = 1_600_000_000 * NANOSECONDS_PER_SECOND
"""When every synthetic session begins; any multiple of a second would do."""
FEATURE_SETS = {
    Modality.FACE: "mediapipe-face",
    Modality.BODY: "mediapipe-pose",
    Modality.PHYSIOLOGY: "e4",
    Modality.AUDIO: "opensmile-egemaps",
}
WINDOWS_HZ = 2
"""Windows per second that are learned from; they overlap by half."""


@dataclass(frozen=True, slots=True)
class LabelledWindows:
    """Windows of one person and the true level in the middle of each."""

    windows: list[Window]
    levels: list[Level]


def recorded(seed: int, duration_s: float, folder: Path) -> Path:
    """The features of the session of person `seed`, computed (about in real time on one core) unless they are there."""
    path = folder / f"person{seed:04d}_{duration_s:g}s.npz"
    if not path.is_file():
        write_recording(path, START_NS, _frames(seed, duration_s))
    return path


def labelled_windows(path: Path, seed: int, duration_s: float) -> LabelledWindows:
    """Cut a recording into windows, each as it would have been at the moment of its estimate."""
    script = EngagementScript.random(seed, duration_s)
    windows = list(_windows(read_recording(path)))
    middles_ns = [(window.start_ns + window.end_ns) // 2 for window in windows]
    return LabelledWindows(
        windows, [script.level_at((middle_ns - START_NS) / NANOSECONDS_PER_SECOND) for middle_ns in middles_ns]
    )


def stacked(
    sessions: Sequence[LabelledWindows], modality: Modality, least_coverage: float
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Features (N, T, D), mask (N, T) and levels (N,) of all windows in which the modality can be heard."""
    heard = [
        (window, level)
        for session in sessions
        for window, level in zip(session.windows, session.levels, strict=True)
        if window.coverage[modality] >= least_coverage
    ]
    return (
        np.stack([window.features[modality] for window, _ in heard]),
        np.stack([window.mask[modality] for window, _ in heard]),
        np.array([int(level) for _, level in heard]),
    )


def fingerprint() -> str:
    """Names the code that makes the features, whatever its comments and layout: other code, other cache."""
    folders = (Path(str(module.__file__)).parent for module in (synthetic, features))
    sources = [Path(str(datatypes.__file__)), *(path for folder in folders for path in sorted(folder.glob("*.py")))]
    return fingerprints.of_code(path for path in sources if path.name != "recording.py")  # it keeps, it makes nothing


def _frames(seed: int, duration_s: float) -> Iterator[tuple[int, FeatureFrame]]:
    who = (Person.random(seed), EngagementScript.random(seed, duration_s), START_NS)
    extractors = (VisionExtractor(), audio_extractor(FEATURE_SETS[Modality.AUDIO]), PhysiologyExtractor())
    sources = (SyntheticCamera(*who), SyntheticMicrophone(*who), SyntheticWristband(*who))
    try:
        for known_ns, frame in frames_of_samples(list(zip(sources, extractors, strict=True))):
            if frame is not None:
                yield known_ns, frame
    finally:
        for extractor in extractors:
            extractor.close()


def _windows(recording: FeatureRecording) -> Iterator[Window]:
    stream = WindowStream(FEATURE_SETS, WINDOWS_HZ)
    return map(copy_of, stream.replay(recording.frames(), recording.start_ns))
