"""The bag of a session: a rosbag2 recording in MCAP that `ros2 bag`, Foxglove and the rosbags library open anywhere.

    bag/
      bag_0.mcap        messages as they came (CDR), with their definitions inside, in chunks compressed with ZSTD
      metadata.yaml     what rosbag2 wants to know beforehand; there is one as soon as the recording is complete
      .recording        while a process writes: locked by it, so that the lock goes when the process does

What was flushed survives a power cut. A bag that was cut off has no metadata.yaml: `salvage` mends it. What does not
fit onto a full disk waits in memory, and what is on disk stays whole.

Sources: mcap.dev/spec; the MCAP profile `ros2`; rosbag2's metadata, version 9 (Jazzy).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from mcap.writer import Writer

from mmal_ros.files import open_private
from mmal_ros.session.bag_index import FlatWriter
from mmal_ros.session.bag_metadata import BAG_FILE, BagTopic, Tally, write_metadata
from mmal_ros.session.card import SessionError
from mmal_ros.wording import why

LOCK_FILE = ".recording"
LIBRARY = "mmal_ros"
CLOSED = -1
"""In the place of a descriptor."""


class BagWriter:
    """Writes one bag, from its first message to its index; a context manager. Not for several threads.

    `flush` raises OSError when the disk is full: it may be tried again, and what was written meanwhile takes memory.
    After an OSError of `close` it can only be abandoned, and `salvage` saves what is there.
    """

    def __init__(self, folder: Path, topics: Sequence[BagTopic]) -> None:
        """Begin a bag in an empty folder; raises SessionError when that cannot be."""
        self._folder = folder
        self._topics = topics
        with ExitStack() as undo:  # of what is open, when the rest fails: it may be tried again every second
            try:
                self._lock = _locked(folder / LOCK_FILE)
                undo.callback(self._unlock)
                self._tail = _Tail(_new_file(folder / BAG_FILE))
                undo.callback(self._tail.close)
                self._tally = Tally()
                self._writer = started_writer(self._tail)
                self._channels = register(self._writer, topics)
                self._tail.sync()
                sync_folder(folder)
            except OSError as error:
                raise SessionError(f"no bag can be written to {folder}: {why(error)}") from error
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    @property
    def bytes_written(self) -> int:
        """Size of the file, as far as it is on disk."""
        return self._tail.durable_bytes

    def write(self, topic: str, data: bytes, received_ns: int, stamp_ns: int) -> None:
        """Add a message.

        Args:
            topic: full name of one of the bag's topics.
            data: the serialised message, CDR with its encapsulation header.
            received_ns: when it was received, in nanoseconds since the epoch: the bag's log time.
            stamp_ns: when it was published, as far as that is known, else the same.
        """
        self._tally.count(topic, received_ns)
        self._writer.add_message(self._channels[topic], received_ns, data, stamp_ns, sequence=self._tally.counts[topic])

    def flush(self) -> None:
        """All that was written so far is on disk when this returns; raises OSError, and it may be tried again."""
        self._writer.flush()
        self._tail.sync()

    def close(self) -> None:
        """Complete the bag: index, metadata, and the lock is gone."""
        self._writer.finish()
        self._tail.sync()
        self._tail.close()
        write_metadata(self._folder, self._topics, self._tally)
        (self._folder / LOCK_FILE).unlink(missing_ok=True)
        self._unlock()
        sync_folder(self._folder)

    def abandon(self) -> None:
        """Give it up as it is; it needs `salvage` then."""
        self._tail.close()
        self._unlock()

    def _unlock(self) -> None:
        """Once: another file may have the number of a closed one."""
        if self._lock != CLOSED:
            lock, self._lock = self._lock, CLOSED
            os.close(lock)


class _Tail:
    """The end of a file that is not on disk yet; the MCAP library writes to it, and never meets a full disk."""

    def __init__(self, descriptor: int) -> None:
        self.durable_bytes = 0
        """Size of the file on disk."""
        self._file = descriptor
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        """As of a file."""
        self._waiting += data
        return len(data)

    def tell(self) -> int:
        """As of a file."""
        return self.durable_bytes + len(self._waiting)

    def flush(self) -> None:
        """As of a file; see `sync`."""

    def sync(self) -> None:
        """All of it goes to disk, or nothing; raises OSError, and may be tried again."""
        try:
            with memoryview(self._waiting) as rest:
                written = 0
                while written < len(rest):
                    written += os.pwrite(self._file, rest[written:], self.durable_bytes + written)
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self.durable_bytes)
            raise
        self.durable_bytes += len(self._waiting)
        self._waiting.clear()

    def close(self) -> None:
        """Without what waits; harmless when called twice."""
        if self._file != CLOSED:
            file, self._file = self._file, CLOSED
            os.close(file)


def started_writer(file: IO[bytes] | _Tail) -> Writer:
    """An MCAP writer at the beginning of its file, with the settings of all our bags."""
    writer = FlatWriter(file)
    writer.start(profile="ros2", library=LIBRARY)
    return writer


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether nobody is writing what is in a folder; if so nobody else will, until this ends.

    The lock's file stays when what is done meanwhile fails: it tells that something is unfinished.
    """
    try:
        lock = _locked(folder / LOCK_FILE)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
        (folder / LOCK_FILE).unlink(missing_ok=True)
    finally:
        os.close(lock)


def sync_folder(folder: Path) -> None:
    """The names of a folder's files survive a power cut when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def register(writer: Writer, topics: Sequence[BagTopic]) -> dict[str, int]:
    """Say which topics there will be, and what their messages look like; returns the number of each topic."""
    schemas: dict[str, int] = {}
    numbers = {}
    for topic in topics:
        if topic.type not in schemas:
            schemas[topic.type] = writer.register_schema(topic.type, "ros2msg", topic.definition.encode())
        metadata = {"offered_qos_profiles": json.dumps(list(topic.qos))}
        numbers[topic.name] = writer.register_channel(topic.name, "cdr", schemas[topic.type], metadata)
    return numbers


def _new_file(path: Path) -> int:
    return open_private(path, os.O_EXCL | os.O_WRONLY)


def _locked(path: Path) -> int:
    """A descriptor that holds the lock; raises BlockingIOError when another one does."""
    descriptor = open_private(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
