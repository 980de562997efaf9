"""Frames in, estimates out: windows and models put together, the same for a live graph and a recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice

from mmal_ros.datatypes import Estimate, FeatureFrame, Sample
from mmal_ros.engagement import EngagementEstimator
from mmal_ros.features.extractor import Extractor
from mmal_ros.models import ModelSet
from mmal_ros.schedule import DEFAULT_MAX_DELAY_NS
from mmal_ros.window_stream import WindowStream
from mmal_ros.windowing import Rejection, copy_of

BATCH = 64
"""Windows that a recording scores at once; more is not faster."""
TAIL_NS = 300_000_000
"""How much longer than the first recording the others are read: a packet of a wristband is not longer."""


class EngagementPipeline:
    """Takes feature frames in as they come and says which estimates are due: a `WindowStream` and its estimator."""

    def __init__(
        self,
        models: ModelSet,
        *,
        rate_hz: float = 10,
        max_delay_ns: int = DEFAULT_MAX_DELAY_NS,
        allow_fallback: bool = True,
    ) -> None:
        """Raises ValueError for a rate that does not fit the grid of steps."""
        self.stream = WindowStream(models.card.feature_sets, rate_hz, max_delay_ns)
        self._allow_fallback = allow_fallback
        self.use(models)

    def use(self, models: ModelSet) -> None:
        """Change to another model set between two estimates; the windows stay unless its features are others."""
        self.estimator = EngagementEstimator(models, allow_fallback=self._allow_fallback)
        self.stream.expect(models.card.feature_sets)

    def accept(self, frame: FeatureFrame, now_ns: int) -> Rejection | None:
        """Take a frame in; returns why it was rejected, or None. A modality without a model is not listened to."""
        return self.stream.accept(frame, now_ns)

    def due_estimates(self, now_ns: int) -> Iterator[Estimate]:
        """The estimates that are due."""
        for window in self.stream.due(now_ns):
            yield self.estimator.estimate(window)


def frames_of_samples(
    sources: Sequence[tuple[Iterable[Sample], Extractor]], *, until_last: bool = False
) -> Iterator[tuple[int, FeatureFrame | None]]:
    """Runs recorded sources through their extractors in the order of time, until the first (or last) of them ends.

    Yields (time, frame) for every frame, and (time, None) after every sample: time goes on also without frames. It
    stops at the end; but what the other sources measured before it still comes in, as it does live.
    """
    streams = [_keyed(index, source) for index, (source, _) in enumerate(sources)]
    over_ns: int | None = None
    for end_ns, index, sample in merge(*streams, key=lambda entry: entry[:2]):
        if sample is None:
            over_ns = end_ns if over_ns is None and not until_last else over_ns
            continue
        if over_ns is not None and end_ns > over_ns + TAIL_NS:
            return
        now_ns = end_ns if over_ns is None else over_ns
        for frame in sources[index][1].process(sample):
            yield now_ns, frame
        yield now_ns, None


def _keyed(index: int, source: Iterable[Sample]) -> Iterator[tuple[int, int, Sample | None]]:
    """The samples with what they are sorted by; None marks the end."""
    end_ns = 0
    for sample in source:
        end_ns = sample.end_ns
        yield end_ns, index, sample
    yield end_ns, index, None


def score(
    pipeline: EngagementPipeline, frames: Iterable[tuple[int, FeatureFrame | None]], start_ns: int
) -> Iterator[Estimate]:
    """The estimates of a recording, as fast as they go: those that a live run over it gives, bit by bit.

    Args:
        pipeline: a fresh one.
        frames: (time, frame) in the order of time; a frame is known from that time on.
        start_ns: when the recording begins.
    """
    windows = map(copy_of, pipeline.stream.replay(frames, start_ns))
    while batch := list(islice(windows, BATCH)):
        yield from pipeline.estimator.estimate_batch(batch)
