"""Frames in, estimates out: windows, schedule and models put together, the same for a live graph and a recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice

from mmal_ros.datatypes import Estimate, FeatureFrame, Sample, Window
from mmal_ros.engagement import EngagementEstimator
from mmal_ros.features.extractor import Extractor
from mmal_ros.models import ModelSet
from mmal_ros.schedule import DEFAULT_MAX_DELAY_NS, Schedule, moments
from mmal_ros.windowing import Rejection, SlidingWindows, copy_of

BATCH = 64
"""Windows that a recording scores at once; more is not faster."""
TAIL_NS = 300_000_000
"""How much longer than the first recording the others are read: a packet of a wristband is not longer."""


class EngagementPipeline:
    """Takes feature frames in as they come and says what is due."""

    def __init__(
        self,
        models: ModelSet,
        *,
        rate_hz: float = 10,
        max_delay_ns: int = DEFAULT_MAX_DELAY_NS,
        allow_fallback: bool = True,
    ) -> None:
        """Raises ValueError for a rate that does not fit the grid of steps."""
        self._rate_hz = rate_hz
        self.max_delay_ns = max_delay_ns
        self._allow_fallback = allow_fallback
        self.clock_jumps = 0
        self.windows = SlidingWindows(models.card.feature_sets, rate_hz)
        self.schedule = Schedule(self.windows.period_ns, max_delay_ns)
        self.use(models)

    def use(self, models: ModelSet) -> None:
        """Change to another model set between two estimates; the windows stay unless its features are others."""
        self.estimator = EngagementEstimator(models, allow_fallback=self._allow_fallback)
        if self.windows.feature_sets != models.card.feature_sets:
            self.windows = SlidingWindows(models.card.feature_sets, self._rate_hz)

    def accept(self, frame: FeatureFrame, now_ns: int) -> Rejection | None:
        """Take a frame in; returns why it was rejected, or None. A modality without a model is not listened to."""
        if frame.modality not in self.windows.feature_sets:
            return Rejection.OTHER_FEATURES
        rejection = self.windows.add(frame, now_ns)
        if rejection is None:
            self.schedule.note(frame.modality, frame.stamp_ns, now_ns)
        return rejection

    def due_windows(self, now_ns: int) -> Iterator[Window]:
        """The windows that are due, as views: use each before asking for the next."""
        if self.schedule.stepped_back(now_ns):
            self.clock_jumps += 1
            self.windows.forget()
            self.schedule.restart()
        for end_ns in self.schedule.due(now_ns):
            yield self.windows.window(end_ns)

    def due_estimates(self, now_ns: int) -> Iterator[Estimate]:
        """The estimates that are due."""
        for window in self.due_windows(now_ns):
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
    windows = map(copy_of, _recorded_windows(pipeline, frames, start_ns))
    while batch := list(islice(windows, BATCH)):
        yield from pipeline.estimator.estimate_batch(batch)


def _recorded_windows(
    pipeline: EngagementPipeline, frames: Iterable[tuple[int, FeatureFrame | None]], start_ns: int
) -> Iterator[Window]:
    """Every window up to the end of the recording, each at the moment at which it would be due live."""
    time_ns = start_ns
    for now_ns, frame in moments(pipeline.schedule, frames, start_ns):
        time_ns = max(time_ns, now_ns)
        if frame is not None:
            pipeline.accept(frame, now_ns)
        yield from pipeline.due_windows(now_ns)
    for window in pipeline.due_windows(time_ns + pipeline.max_delay_ns):
        if window.end_ns <= time_ns:
            yield window
