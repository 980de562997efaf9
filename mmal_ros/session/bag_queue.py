"""Messages on their way to the bag: taken from any thread without waiting, written by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from queue import Full, Queue
from time import monotonic

from mmal_ros.session.bag import BagWriter
from mmal_ros.session.bag_metadata import BagTopic
from mmal_ros.wording import why

BACKLOG = 4000
"""Messages that may wait for a slow disk: half a minute of them."""
TOLD_S = 10.0
"""So long it is said that the disk cost messages: afterwards their number tells."""
SLOW = "messages were lost: the session's disk is slower than what comes"


class BagQueue:
    """A bag that keeps nobody waiting and fails nobody: while it cannot be written it says so, and then it goes on."""

    def __init__(self, folder: Path, topics: Sequence[BagTopic]) -> None:
        """Begin a bag; raises SessionError when that cannot be."""
        self.dropped = 0
        """Messages that the disk was too slow or too full for."""
        self.paused = False
        """Whether messages are passed over, because there is no room for them."""
        self._problem = ""  # while there is one nothing more is taken
        self._slow_until_s = 0.0
        self._topics = {topic.name for topic in topics}
        self._messages: Queue[tuple[str, bytes, int, int]] = Queue(BACKLOG)
        self._bag = BagWriter(folder, topics)
        self._closed = False

    @property
    def bytes_written(self) -> int:
        """Size of the bag, as far as it is on disk."""
        return self._bag.bytes_written

    @property
    def problem(self) -> str:
        """Empty: all is well; else one sentence."""
        return self._problem or (SLOW if monotonic() < self._slow_until_s else "")

    def add(self, topic: str, data: bytes, received_ns: int, stamp_ns: int) -> None:
        """Take a message; passed over if the bag has no such topic. See `BagWriter.write`."""
        if topic not in self._topics or self._closed:
            return
        if self.paused or self._problem:
            self.dropped += 1
            return
        try:
            self._messages.put_nowait((topic, data, received_ns, stamp_ns))
        except Full:
            self.dropped += 1
            self._slow_until_s = monotonic() + TOLD_S

    def write(self) -> None:
        """Write what has come in; it is on disk when this returns, or waits there and `problem` says why."""
        for _ in range(self._messages.qsize()):
            self._bag.write(*self._messages.get_nowait())
        try:
            self._bag.flush()
            self._problem = ""
        except OSError as error:
            self._problem = f"features cannot be recorded: {why(error)}"

    def close(self) -> None:
        """Write the rest, and complete the bag; harmless when called twice."""
        if self._closed:
            return
        self._closed = True
        self.write()
        try:
            self._bag.close()
        except OSError as error:
            self._problem = f"the bag is not complete: {why(error)}; it is mended when the session is opened"
            self._bag.abandon()
