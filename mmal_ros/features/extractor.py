"""What every feature extractor looks like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from mmal_ros.datatypes import FeatureFrame, Modality, Sample


class Extractor(Protocol):
    """Turns the samples of one sensor into feature frames of one or more modalities.

    Deterministic: the same samples in the same order give the same frames, however they are spaced in real time.
    """

    feature_sets: dict[Modality, str]
    """Which list of `names.FEATURE_SETS` each modality's frames follow."""

    def process(self, sample: Sample) -> Iterable[FeatureFrame]:
        """Frames that are complete now that `sample` is there, oldest first; often none."""
        ...

    def expect_somebody_else(self) -> None:
        """What is one person's own is not the next one's; callable from any thread."""
        ...

    def close(self) -> None:
        """Release what the extractor holds (a native graph, a thread); harmless when called twice."""
        ...
