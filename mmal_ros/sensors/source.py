"""The contract of a source, and the two wrappers that make one live: a bounded queue and the pace of real time."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample

Clock = Callable[[], int]
"""Returns nanoseconds since the epoch: `time.time_ns`, or the clock of a ROS node."""

JOIN_TIMEOUT_S = 5.0
"""How long `close` waits for the thread of a live source."""


class SourceState(StrEnum):
    """What a source is doing."""

    STARTING = "starting"
    """Opening the device, or looking for it; nothing has come yet."""
    STREAMING = "streaming"
    SILENT = "silent"
    """The device is open but sends nothing, or the same again and again."""
    LOST = "lost"
    """The device went away; it is being looked for."""
    ENDED = "ended"
    """A recording is over, or the source was closed."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source is, at one moment."""

    state: SourceState
    message: str = ""
    """One sentence for a person: what is wrong and what to do. Empty while all is well."""
    received: int = 0
    """Samples delivered by the device."""
    dropped: int = 0
    """Samples thrown away because newer ones had come before they were used."""
    repeated: int = 0
    """Samples that were the same as the one before (a frozen picture) and were not passed on."""
    reconnects: int = 0
    malformed: int = 0
    """Packets or lines that could not be read, and were left out."""
    newest_malformed: str = ""
    """What was wrong with the newest of them."""


class Source(ABC):
    """Yields stamped samples, in the order of `Sample.end_ns`, until it is closed or a recording ends.

    A context manager: entering opens the device, leaving closes it. A recorded source yields as fast as it is asked
    and its stamps begin at the time it was given; a live source blocks until something comes.

    Raises:
        SourceError: on opening, when what was asked for can never work (no such file, wrong format, no such driver).
            A device that is merely not there is no error: the source reports it and keeps looking.
    """

    name: str = "source"

    def __init__(self) -> None:
        self._status = SourceStatus(SourceState.STARTING)
        self._status_lock = threading.Lock()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Open the device or the file."""

    @abstractmethod
    def __iter__(self) -> Iterator[Sample]:
        """The samples, once."""

    @abstractmethod
    def close(self) -> None:
        """Close the device; may be called from any thread and more than once, and ends the iteration within 2 s."""

    @property
    def status(self) -> SourceStatus:
        """A snapshot; may be read from any thread."""
        with self._status_lock:
            return self._status

    def _update(self, *, count: str | None = None, by: int = 1, **changes: Any) -> None:
        """Change fields of the status; `count` names a counter to raise `by` so many."""
        with self._status_lock:
            if count is not None:
                changes[count] = getattr(self._status, count) + by
            self._status = replace(self._status, **changes)


class SourceError(Exception):
    """What was asked of a source can never work; the message says what would."""


class LiveSource(Source):
    """A source with a thread of its own that feeds a bounded queue; when the reader is late, the oldest goes.

    A subclass implements `_run`, which reads the device, calls `_emit` for every sample and returns soon (0.5 s)
    after `_stop` is set. It should survive everything the device does; after an exception out of `_run` the state is
    LOST with the exception's text, and it is run again, with back-off.
    """

    _is_endless = True
    """What ends by itself, as a recording, is not run again."""

    def __init__(self, backlog: int) -> None:
        super().__init__()
        self._queue: deque[Sample] = deque()
        self._backlog = backlog
        self._arrived = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble = ""
        """Why what came since the last measurement was none."""

    def open(self) -> None:
        """Start the thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._guarded_run, name=self.name, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the thread and end the iteration; what nobody has read yet is not wanted any more."""
        self._stop.set()
        with self._arrived:
            self._queue.clear()
            self._arrived.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_TIMEOUT_S)

    def __iter__(self) -> Iterator[Sample]:
        while True:
            with self._arrived:
                while not self._queue and not self._stop.is_set():
                    self._arrived.wait()
                if not self._queue:
                    return
                sample = self._queue.popleft()
            yield sample

    @abstractmethod
    def _run(self) -> None:
        """Read the device until `_stop` is set."""

    def _emit(self, sample: Sample, state: SourceState = SourceState.STREAMING, message: str = "") -> None:
        """Hand a sample to the reader; never blocks. After the end it is ignored."""
        self._trouble = ""
        if self._hand_over(sample):
            self._update(count="received", state=state, message=message)

    def _emit_event(self, sample: Sample) -> None:
        """As `_emit`, for what measures nothing, as a pressed button: it does not say that the source streams."""
        if self._hand_over(sample):
            self._update(count="received")

    def _reject(self, reason: Exception) -> None:
        """Count something that cannot be read; how the source is depends on what else comes."""
        self._trouble = str(reason)
        self._update(count="malformed", newest_malformed=self._trouble)

    def _hand_over(self, sample: Sample) -> bool:
        """Whether there is anybody to take it."""
        with self._arrived:
            if self._stop.is_set():
                return False
            late = len(self._queue) >= self._backlog
            if late:
                self._queue.popleft()
            self._queue.append(sample)
            self._arrived.notify()
        if late:
            self._update(count="dropped")
        return True

    def _guarded_run(self) -> None:
        waits_s = back_off()
        while not self._run_well() and self._is_endless and not self._stop.wait(next(waits_s)):
            pass
        self._stop.set()
        with self._arrived:
            self._arrived.notify_all()

    def _run_well(self) -> bool:
        """Whether it came to its end; the thread's last line of defence reports what else it came to."""
        try:
            self._run()
        except Exception as error:
            self._update(state=SourceState.LOST, message=f"{self.name} stopped: {type(error).__name__}: {error}")
            return False
        self._update(state=SourceState.ENDED)
        return True


class Paced(LiveSource):
    """Plays a recorded source in real time: every sample comes out when `clock` reaches its end.

    The recording must have been made to begin at 0; `begin_at` says when it begins. So it can be opened, which may
    take a while, before it is known when it is to be played. A reader that is slower than real time loses the oldest
    samples, counted, as it would with a device.
    """

    _is_endless = False

    def __init__(self, recorded: Source, clock: Clock, backlog: int = 64) -> None:
        super().__init__(backlog)
        self.name = recorded.name
        self._recorded = recorded
        self._clock = clock
        self._start_ns = 0

    def open(self) -> None:
        """Open the recording: what is wrong with it is raised here."""
        self._recorded.open()

    def begin_at(self, start_ns: int) -> None:
        """Play the recording from `start_ns` on."""
        self._start_ns = start_ns
        super().open()

    def close(self) -> None:
        """Stop to play, and close the recording also when it was never played."""
        super().close()
        self._recorded.close()

    def _run(self) -> None:
        try:
            for recorded in self._recorded:
                sample = replace(recorded, stamp_ns=recorded.stamp_ns + self._start_ns)
                remaining_s = (sample.end_ns - self._clock()) / NANOSECONDS_PER_SECOND
                if self._stop.wait(max(remaining_s, 0)):
                    return
                self._emit(sample)
        finally:
            self._recorded.close()


def back_off(first_s: float = 0.5, most_s: float = 10.0) -> Iterator[float]:
    """Seconds to wait before each new attempt: doubling, up to a limit."""
    wait_s = first_s
    while True:
        yield wait_s
        wait_s = min(wait_s * 2, most_s)


def monotonic_s() -> float:
    """Seconds of the steady clock, for time-outs: it never steps."""
    return time.monotonic()
