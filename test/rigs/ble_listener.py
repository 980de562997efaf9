"""Reads a live source in a thread of its own and remembers what came, when, and what the source said of itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import Sample
from mmal_ros.sensors.source import LiveSource, SourceState, SourceStatus

POLL_S = 0.02


class Listener:
    """Opens the source, collects until the `with` block ends, closes it."""

    def __init__(self, source: LiveSource) -> None:
        self.source = source
        self.samples: list[Sample] = []
        self.received_ns: list[int] = []
        self.history: list[SourceStatus] = []
        """Every status whose state or message differed from the one before."""
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._watch)]

    def __enter__(self) -> Self:
        self.source.open()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.close()
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def of(self, source: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.source == source]

    def values(self, source: str) -> NDArray[np.float32]:
        return np.concatenate([sample.values for sample in self.of(source)]).astype(np.float32)

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Generous: the machine may be busy."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"not within {timeout_s:.0f} s; the source says {self.source.status}")
            time.sleep(POLL_S)

    def wait_for_more(self, source: str, values: int) -> None:
        """So many values more than there are now."""
        goal = self._count(source) + values
        self.wait_for(lambda: self._count(source) >= goal)

    def wait_for_state(self, state: SourceState) -> SourceStatus:
        self.wait_for(lambda: self.source.status.state is state)
        return self.source.status

    def wait_for_message(self, text: str) -> None:
        self.wait_for(lambda: text in self.source.status.message)

    def states(self) -> list[SourceState]:
        """In the order in which they followed one another."""
        states = [status.state for status in self.history]
        return [state for i, state in enumerate(states) if i == 0 or state is not states[i - 1]]

    def _count(self, source: str) -> int:
        return sum(len(sample.values) for sample in self.of(source))

    def _read(self) -> None:
        for sample in self.source:
            self.received_ns.append(time.time_ns())
            self.samples.append(sample)

    def _watch(self) -> None:
        while not self._closed.wait(POLL_S):
            status = self.source.status
            newest = self.history[-1] if self.history else None
            if newest is None or (newest.state, newest.message) != (status.state, status.message):
                self.history.append(status)
