"""Synthetic sessions: simulated people through the real extractors, kept on disk, and the truth about them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmal_ros import datatypes, features
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Modality
from mmal_ros.features.audio import audio_extractor
from mmal_ros.features.physiology import PhysiologyExtractor
from mmal_ros.features.recording import write_recording
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

START_NS = 1_600_000_000 * NANOSECONDS_PER_SECOND
"""When every synthetic session begins; any multiple of a second would do."""
FEATURE_SETS = {
    Modality.FACE: "mediapipe-face",
    Modality.BODY: "mediapipe-pose",
    Modality.PHYSIOLOGY: "e4",
    Modality.AUDIO: "opensmile-egemaps",
}


def recorded(seed: int, duration_s: float, folder: Path) -> Path:
    """The features of the session of person `seed`, computed (about in real time on one core) unless they are there."""
    path = folder / f"person{seed:04d}_{duration_s:g}s.npz"
    if not path.is_file():
        write_recording(path, START_NS, _frames(seed, duration_s))
    return path


def labels_of(seed: int, duration_s: float) -> list[str]:
    """When person `seed` is how engaged, as rows `start_s,end_s,level` (`training.data.recordings`)."""
    segments = EngagementScript.random(seed, duration_s).segments
    return [f"{segment.start_s!r},{segment.end_s!r},{segment.level.name.lower()}" for segment in segments]


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
