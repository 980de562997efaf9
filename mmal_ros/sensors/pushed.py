"""A source whose samples somebody else brings: a ROS topic, or the other end of a pipe."""

from __future__ import annotations

from mmal_ros.datatypes import Sample
from mmal_ros.sensors.source import LiveSource, SourceState, monotonic_s

SILENCE_S = 1.5
"""Nothing for this long is reported: within the 2 s in which a fault must be known, and longer than a hiccup."""
POLL_S = 0.1


class PushedSource(LiveSource):
    """Passes on what is pushed, the newest `backlog` samples of it, and notices when nothing comes any more."""

    def __init__(self, name: str, origin: str, backlog: int) -> None:
        """`origin` is what a person would look at when nothing comes, "the topic /audio" for example."""
        super().__init__(backlog)
        self.name = name
        self._origin = origin
        self._newest_s = monotonic_s()

    def push(self, sample: Sample) -> None:
        """Hand over a sample; never blocks."""
        self._newest_s = monotonic_s()
        self._emit(sample)

    def _run(self) -> None:
        self._newest_s = monotonic_s()  # whoever is opened late was not silent before
        while not self._stop.wait(POLL_S):
            if monotonic_s() - self._newest_s > SILENCE_S:
                self._update(state=SourceState.SILENT, message=f"nothing comes from {self._origin}; is it running?")
