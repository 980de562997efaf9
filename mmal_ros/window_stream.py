"""Frames in, windows out: the rings of `windowing` and the moments of `schedule` put together. It knows no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mmal_ros.datatypes import FeatureFrame, Modality, Window
from mmal_ros.schedule import DEFAULT_MAX_DELAY_NS, Schedule, moments
from mmal_ros.windowing import Rejection, SlidingWindows


class WindowStream:
    """Takes feature frames in as they come and says which windows are due."""

    def __init__(
        self, feature_sets: Mapping[Modality, str], rate_hz: float = 10, max_delay_ns: int = DEFAULT_MAX_DELAY_NS
    ) -> None:
        """Expect frames of these feature sets; raises ValueError for a rate that does not fit the grid of steps."""
        self.max_delay_ns = max_delay_ns
        self.clock_jumps = 0
        self.windows = SlidingWindows(feature_sets, rate_hz)
        self.schedule = Schedule(self.windows.period_ns, max_delay_ns)
        self._rate_hz = rate_hz

    def expect(self, feature_sets: Mapping[Modality, str]) -> None:
        """Listen to these feature sets from now on; the windows begin anew only if they are others than before."""
        if self.windows.feature_sets != feature_sets:
            self.windows = SlidingWindows(feature_sets, self._rate_hz)

    def accept(self, frame: FeatureFrame, now_ns: int) -> Rejection | None:
        """Take a frame in; returns why it was rejected, or None. What no feature set is expected of is not heard."""
        if frame.modality not in self.windows.feature_sets:
            return Rejection.OTHER_FEATURES
        rejection = self.windows.add(frame, now_ns)
        if rejection is None:
            self.schedule.note(frame.modality, frame.stamp_ns, now_ns)
        return rejection

    def due(self, now_ns: int) -> Iterator[Window]:
        """The windows that are due, as views: use each, or `windowing.copy_of` it, before asking for the next."""
        if self.schedule.stepped_back(now_ns):
            self.clock_jumps += 1
            self.windows.forget()
            self.schedule.restart()
        for end_ns in self.schedule.due(now_ns):
            yield self.windows.window(end_ns)

    def replay(self, frames: Iterable[tuple[int, FeatureFrame | None]], start_ns: int) -> Iterator[Window]:
        """Every window up to the end of a recording, each at the moment at which it would be due live; as views.

        Args:
            frames: (time, frame) in the order of time; a frame is known from that time on. None: time goes on.
            start_ns: when the recording begins.
        """
        time_ns = start_ns
        for now_ns, frame in moments(self.schedule, frames, start_ns):
            time_ns = max(time_ns, now_ns)
            if frame is not None:
                self.accept(frame, now_ns)
            yield from self.due(now_ns)
        for window in self.due(time_ns + self.max_delay_ns):
            if window.end_ns <= time_ns:
                yield window
