"""Messages on their way to the bag: taken from any thread without waiting, written by one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from queue import Full, Queue

from mmal_ros.session.bag import BagWriter
from mmal_ros.session.bag_metadata import BagTopic

BACKLOG = 4000
"""Messages that may wait for a slow disk: half a minute of them."""
FREE_TO_GO_ON = 200_000_000
"""Bytes: what is left then is for flags, clips and everybody else."""


class BagQueue:
    """A bag that keeps nobody waiting and fails nobody: when it can no longer be written, it ends and says so."""

    def __init__(self, folder: Path, topics: Sequence[BagTopic]) -> None:
        """Begin a bag; raises SessionError when that cannot be."""
        self.dropped = 0
        """Messages that the disk was too slow for."""
        self.problem = ""
        """Empty: all is well; else one sentence."""
        self._folder = folder
        self._topics = {topic.name for topic in topics}
        self._messages: Queue[tuple[str, bytes, int, int]] = Queue(BACKLOG)
        self._bag: BagWriter | None = BagWriter(folder, topics)
        self.bytes_written = self._bag.bytes_written
        """Size of the bag, as far as it is on disk."""

    def add(self, topic: str, data: bytes, received_ns: int, stamp_ns: int) -> None:
        """Take a message; passed over if the bag has no such topic. See `BagWriter.write`."""
        if topic not in self._topics:
            return
        try:
            self._messages.put_nowait((topic, data, received_ns, stamp_ns))
        except Full:
            self.dropped += 1

    def write(self) -> None:
        """Write what has come in; it is on disk when this returns. On a full disk the bag ends in good time."""
        waiting = [self._messages.get_nowait() for _ in range(self._messages.qsize())]
        if self._bag is None:
            return
        try:
            for message in waiting:
                self._bag.write(*message)
            self._bag.flush()
            self.bytes_written = self._bag.bytes_written
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            self._fail(error)
            return
        if free < FREE_TO_GO_ON:
            self.problem = f"only {free // 1_000_000} MB are free: flags are still recorded, features are not"
            self._end()

    def close(self) -> None:
        """Write the rest, and complete the bag."""
        self.write()
        self._end()

    def _end(self) -> None:
        if self._bag is None:
            return
        try:
            self._bag.close()
            self._bag = None
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        assert self._bag is not None
        self.problem = f"features are no longer recorded: {error.strerror}; flags are, as far as possible"
        self._bag.abandon()
        self._bag = None
