"""A folder of recorded sessions with labels, of people who do not exist: small enough to train on in a moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Level, Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.features.recording import write_recording

CHOSEN_SETS = {Modality.PHYSIOLOGY: "e4", Modality.AUDIO: "spectral"}
START_NS = 1_600_000_000 * NANOSECONDS_PER_SECOND
SEGMENT_S, SEGMENTS = 6, 5
FRAME_NS = 100_000_000
SIGNAL = 0.25


def write_people(folder: Path, codes: Sequence[str]) -> Path:
    """A session of half a minute of each; features tell a little of the level, and each person has her own mean."""
    folder.mkdir(parents=True)
    rows = ["person,recording,start_s,end_s,level"]
    for seed, code in enumerate(codes):
        levels = np.random.default_rng([seed, 0]).permutation([0, 1, 2, 0, 1])
        write_recording(folder / f"of_{code}.npz", START_NS, _frames(seed, levels))
        rows += [
            f"{code},of_{code},{i * SEGMENT_S},{(i + 1) * SEGMENT_S},{Level(level).name.lower()}"
            for i, level in enumerate(levels)
        ]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def _frames(seed: int, levels: np.ndarray) -> Iterator[tuple[int, FeatureFrame]]:
    random = np.random.default_rng([seed, 1])
    sizes = {modality: len(FEATURE_SETS[name][1]) for modality, name in CHOSEN_SETS.items()}
    means = {m: SIGNAL * np.random.default_rng(size).normal(size=(len(Level), size)) for m, size in sizes.items()}
    own = {modality: random.normal(size=size) for modality, size in sizes.items()}
    for step in range(1, SEGMENTS * SEGMENT_S * 10 + 1):
        stamp_ns, level = START_NS + step * FRAME_NS, levels[(step - 1) // (SEGMENT_S * 10)]
        for modality, name in CHOSEN_SETS.items():
            values = (own[modality] + means[modality][level] + random.normal(size=sizes[modality])).astype(np.float32)
            yield stamp_ns + FRAME_NS // 5, FeatureFrame(modality, stamp_ns, values, True, 1.0, name)
