"""Sensor to features, live: a source and its extractor, running in the background until they are stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from mmal_ros.datatypes import FeatureFrame, Sample
from mmal_ros.features.extractor import Extractor
from mmal_ros.sensors.source import Paced, Source, SourceState, SourceStatus, monotonic_s

OnFrame = Callable[[FeatureFrame], None]
OnSample = Callable[[Sample], None]
STOP_TIMEOUT_S = 5.0
STUCK_S = 1.5
"""One sample takes milliseconds; who needs so long for it hangs, which must be known within 2 s."""
log = logging.getLogger(__name__)


class Extraction(Protocol):
    """Something that turns a source into feature frames, in the background, until it is stopped."""

    def prepare(self) -> None:
        """Do what takes a while: load models, open a recording. Raises SourceError when it can never work."""
        ...

    def start(self, start_ns: int) -> None:
        """Open a device, or play a recording from `start_ns` on. Raises SourceError when it can never work."""
        ...

    def expect_somebody_else(self) -> None:
        """From now on it is another person."""
        ...

    def stop(self) -> None:
        """End it and release everything; harmless when called twice."""
        ...

    @property
    def status(self) -> SourceStatus:
        """How the source is."""
        ...


class ThreadExtraction:
    """In a thread: for extractors that are light or leave Python while they work."""

    def __init__(
        self, source: Source, extractor: Extractor, on_frame: OnFrame, on_sample: OnSample | None = None
    ) -> None:
        self._source = source
        self._extractor = extractor
        self._on_frame = on_frame
        self._on_sample = on_sample
        self._failure = ""
        self._busy_since_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"{source.name} extraction", daemon=True)

    def prepare(self) -> None:
        """Open a recording; a device has to wait."""
        if isinstance(self._source, Paced):
            self._source.open()

    def start(self, start_ns: int) -> None:
        """Open a device, or play a recording from `start_ns` on."""
        if isinstance(self._source, Paced):
            self._source.begin_at(start_ns)
        else:
            self._source.open()
        self._thread.start()

    def expect_somebody_else(self) -> None:
        """From the next sample on it is another person."""
        self._extractor.expect_somebody_else()

    def stop(self) -> None:
        """Close the source, wait for the thread, release the extractor."""
        self._source.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT_S)
        self._extractor.close()

    @property
    def status(self) -> SourceStatus:
        """How the source is; LOST with the reason when the extractor failed, SILENT when it hangs."""
        if self._failure:
            return SourceStatus(SourceState.LOST, self._failure)
        if self.stuck_s > STUCK_S:
            message = f"features of {self._source.name} hang: nothing has come of a sample for {STUCK_S} s"
            return replace(self._source.status, state=SourceState.SILENT, message=message)
        return self._source.status

    @property
    def failed(self) -> bool:
        """Whether the extractor failed at the newest sample."""
        return bool(self._failure)

    @property
    def stuck_s(self) -> float:
        """How long the extractor has been at work on one sample."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else monotonic_s() - since_s

    def _run(self) -> None:
        for sample in self._source:
            self._busy_since_s = monotonic_s()
            try:
                self._take(sample)
                self._failure = ""
            except Exception as error:  # of this sample; the next may do
                self._fail(error)
            self._busy_since_s = None

    def _take(self, sample: Sample) -> None:
        if self._on_sample is not None:
            self._on_sample(sample)
        for frame in self._extractor.process(sample):
            self._on_frame(frame)

    def _fail(self, error: Exception) -> None:
        failure = f"features of {self._source.name} stopped: {type(error).__name__}: {error}"
        if failure != self._failure:  # once, not at every sample
            log.exception("extraction from %s failed", self._source.name)
        self._failure = failure
