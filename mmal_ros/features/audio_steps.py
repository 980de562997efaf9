"""What every audio extractor shares: sound cut into hops of 10 ms, their features averaged to the grid of 100 ms.

Which sound a frame has seen does not depend on how the sound was cut into samples: hops are counted from the start of
the stream, and a step is complete when the sound up to its end was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mmal_ros.datatypes import STEP_NS, FeatureFrame, FloatArray, Modality, Sample

RATE_HZ = 16_000
VALUE_NS = 62_500
"""1 s / 16,000: exact in nanoseconds, so stamps do not depend on the size of the samples."""
HOP_VALUES = 160
"""10 ms, the frame step of eGeMAPS (Eyben et al., IEEE Trans. Affective Computing 7(2), 2016)."""
GAP_NS = 50_000_000
"""Stamps that are further off than this are another stream: the sound between is missing, or the clock was set."""
MUTED_AFTER_HOPS = 200
"""2 s of nothing but zeros. Air and amplifiers always make noise: such a microphone is muted, or not connected."""


class HopAnalyser(Protocol):
    """Turns hops of one uninterrupted stream of sound into feature vectors."""

    def analyse(self, hop: FloatArray) -> Sequence[FloatArray]:
        """The vectors (D,) that became known through these next 10 ms, (160,), oldest first; often one, maybe none."""
        ...

    def restart(self) -> None:
        """Forget the sound so far."""
        ...

    def close(self) -> None:
        """Release what the analyser holds; harmless when called twice."""
        ...


class SteppedExtractor:
    """An `Extractor` that averages the vectors of an analyser over steps of 100 ms.

    The frame of stamp E (a multiple of `STEP_NS`) is the mean of the vectors that became known through sound in
    (E - 100 ms, E], and comes as soon as the sound up to E was given. A step without such vectors (the first 80 ms of
    a stream) has no frame. Silence is valid sound; after 2 s of nothing but zeros the frames are invalid.
    Confidence is 1, or 0 where invalid: neither analyser knows how far to trust itself. Stamps that jump by more
    than 50 ms start a new stream.

    Raises:
        ValueError: `process` was given sound of another rate than 16 kHz.
    """

    _pending: FloatArray
    """The last sound, less than a hop."""
    _vectors: list[FloatArray]
    """What became known in the step that ends at `_step_end_ns`."""
    _step_end_ns: int | None
    _zero_hops: int

    def __init__(self, feature_set: str, analyser: HopAnalyser) -> None:
        self.feature_sets = {Modality.AUDIO: feature_set}
        self._feature_set = feature_set
        self._analyser = analyser
        self._next_ns: int | None = None
        self._begin_stream()

    def expect_somebody_else(self) -> None:
        """Nothing in sound is learnt of a person."""

    def process(self, sample: Sample) -> list[FeatureFrame]:
        """Frames of the steps that are complete now that `sample` is there, oldest first; often none."""
        _require_rate(sample)
        frames = self._frames_before(sample.stamp_ns)
        if self._next_ns is not None and abs(sample.stamp_ns - self._next_ns) > GAP_NS:
            self._analyser.restart()
            self._begin_stream()
        first_ns = sample.stamp_ns - len(self._pending) * VALUE_NS
        values = np.concatenate([self._pending, sample.values.astype(np.float32, copy=False)])
        whole = len(values) - len(values) % HOP_VALUES
        for start in range(0, whole, HOP_VALUES):
            known_ns = first_ns + (start + HOP_VALUES - 1) * VALUE_NS
            frames += self._frames_before(known_ns)
            self._add_hop(values[start : start + HOP_VALUES], known_ns)
        self._pending = values[whole:]
        self._next_ns = sample.stamp_ns + len(sample.values) * VALUE_NS
        return frames + self._frames_before(self._next_ns)

    def close(self) -> None:
        """Release the analyser."""
        self._analyser.close()

    def _begin_stream(self) -> None:
        self._pending = np.zeros(0, np.float32)
        self._vectors = []
        self._step_end_ns = None
        self._zero_hops = 0

    def _add_hop(self, hop: FloatArray, known_ns: int) -> None:
        vectors = self._analyser.analyse(hop)
        self._zero_hops = 0 if hop.any() else self._zero_hops + 1
        if not vectors:
            return
        self._vectors += vectors
        step_end_ns = -(-known_ns // STEP_NS) * STEP_NS
        # Stamps of a live stream may step back a little: what then belongs to a step that is gone goes into the next.
        self._step_end_ns = max(step_end_ns, self._step_end_ns or step_end_ns)

    def _frames_before(self, next_ns: int) -> list[FeatureFrame]:
        """The frame of the step being gathered, when the sound after it begins at `next_ns`."""
        if not self._vectors or self._step_end_ns is None or self._step_end_ns >= next_ns:
            return []
        mean = np.mean(self._vectors, axis=0, dtype=np.float64).astype(np.float32)
        end_ns, valid = self._step_end_ns, self._zero_hops < MUTED_AFTER_HOPS
        self._vectors = []
        self._step_end_ns += STEP_NS
        values = mean if valid else np.zeros_like(mean)
        return [FeatureFrame(Modality.AUDIO, end_ns, values, valid, float(valid), self._feature_set)]


def _require_rate(sample: Sample) -> None:
    if sample.rate_hz != RATE_HZ:
        raise ValueError(
            f"audio features need {RATE_HZ} Hz mono, but the {sample.source} sample of {sample.stamp_ns} ns has "
            f"{sample.rate_hz:g} Hz: resample it first (mmal_ros.sensors.resample does)"
        )
