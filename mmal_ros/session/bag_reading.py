"""Messages out of a bag, quickly: its index says where a moment is, and an hour is read in half a second.

The mcap library's reader makes several objects of every message, which takes longer than to score it. This one knows
what our bags have: chunks compressed with ZSTD, an index of them, and messages as they were serialised.

Source: mcap.dev/spec, version 0. Numbers are little endian; a string or a map begins with its length in bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import itemgetter
from zlib import crc32

import zstandard

from mmal_ros.session.bag_metadata import BAG_FILE
from mmal_ros.session.card import SessionError
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.salvage import check_chunk, ensure_readable
from mmal_ros.wording import why

FOREVER_NS = (1 << 63) - 1
CHANNEL, MESSAGE, CHUNK_INDEX = 0x04, 0x05, 0x08
RECORD = struct.Struct("<BQ")
"""Opcode, length of what follows."""
MESSAGE_HEADER = struct.Struct("<HIQQ")
"""Channel, sequence, log time, publish time; then the serialised message."""
PLACE = struct.Struct("<QQQQ")
"""Of a chunk: first and last log time, where its record begins in the file, and how long it is."""
CHUNK_HEADER = struct.Struct("<QQQII")
"""First and last log time, size and CRC-32 of the content (0: none), length of the compression's name."""
FOOTER = struct.Struct("<BQQQI8s")
"""Opcode and length, where summary and offsets begin, CRC-32; then the magic that ends the file."""
CHECKED = 12
"""The last bytes of a file, which its CRC-32 does not cover: itself, and the magic."""
MAGIC = b"\x89MCAP0\r\n"
LENGTH = struct.Struct("<I")
DAMAGE = (
    struct.error, IndexError, KeyError, ValueError, OverflowError, MemoryError, zstandard.ZstdError, EOFError,
)  # fmt: skip
"""What comes of content that is not what it should be."""
Place = tuple[int, int, int, int]
Record = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Received:
    """The messages of one topic, in the order in which they came in."""

    times_ns: list[int] = field(default_factory=list)
    """When each was received: the log time."""
    data: list[memoryview] = field(default_factory=list)
    """Each as it was serialised."""


class Bag:
    """The complete bag of a session. Every method raises SessionError where the file is damaged; none keeps it open."""

    def __init__(self, folder: SessionFolder) -> None:
        """Read its index, and mend it first where it was cut off.

        Raises:
            SessionError: it is being recorded, is not there, or cannot be read.
        """
        if not ensure_readable(folder):
            raise SessionError(f"the bag of {folder.name} cannot be read yet, or there is none; is it being recorded?")
        self.path = folder.bag / BAG_FILE
        self.topics: dict[str, int] = {}
        """Number of every topic by its full name."""
        self._chunks: list[Place] = []
        try:
            self._read_summary()
        except OSError as error:
            raise SessionError(f"{self.path} cannot be read: {why(error)}") from error
        except DAMAGE as error:
            raise self._damaged("its index") from error
        self.start_ns = min((place[0] for place in self._chunks), default=0)
        """Log time of the first message; 0: there is none."""
        self.end_ns = max((place[1] for place in self._chunks), default=0)
        """Log time of the last message; 0: there is none."""

    def named(self, name: str) -> str | None:
        """Full name of the topic that is called `features/face` in whatever namespace; None: there is none."""
        return next((topic for topic in self.topics if topic.endswith(f"/{name}")), None)

    def chunks(
        self, topics: Collection[str], start_ns: int = 0, end_ns: int = FOREVER_NS
    ) -> Iterator[dict[str, Received]]:
        """What was received of some topics (full names) from start to end, both included, about a second at a time.

        In the order in which it was recorded, which is that of time unless the clock was set back.
        """
        return self._read(self._chunks, topics, start_ns, end_ns)

    def _read(
        self, chunks: Iterable[Place], topics: Collection[str], start_ns: int, end_ns: int
    ) -> Iterator[dict[str, Received]]:
        wanted = {self.topics[topic]: topic for topic in topics if topic in self.topics}
        places = [place for place in chunks if place[1] >= start_ns and place[0] <= end_ns]
        try:
            with self.path.open("rb") as file:
                for first_ns, last_ns, offset, size in places:
                    file.seek(offset)
                    cut = first_ns < start_ns or last_ns > end_ns
                    received = {number: Received() for number in wanted}
                    _collect(_content(file.read(size)), received, (start_ns, end_ns) if cut else None)
                    yield {wanted[number]: messages for number, messages in received.items()}
        except OSError as error:
            raise SessionError(f"{self.path} cannot be read: {why(error)}") from error
        except DAMAGE as error:
            raise self._damaged(f"the chunk at byte {offset}") from error

    def read(self, topics: Collection[str], start_ns: int = 0, end_ns: int = FOREVER_NS) -> dict[str, Received]:
        """The same in one piece."""
        whole = {topic: Received() for topic in topics}
        for chunk in self.chunks(topics, start_ns, end_ns):
            for topic, received in chunk.items():
                whole[topic].times_ns.extend(received.times_ns)
                whole[topic].data.extend(received.data)
        return whole

    def messages(
        self, topics: Collection[str], start_ns: int = 0, end_ns: int = FOREVER_NS
    ) -> Iterator[tuple[int, str, memoryview]]:
        """The same one by one in the order of time, as (received, topic, message)."""
        for chunk in self._read(sorted(self._chunks), topics, start_ns, end_ns):
            streams = [zip(r.times_ns, repeat(topic), r.data, strict=False) for topic, r in chunk.items()]
            yield from sorted(chain.from_iterable(streams), key=itemgetter(0))

    def _read_summary(self) -> None:
        with self.path.open("rb") as file:
            file.seek(-FOOTER.size, 2)
            _, _, start, _, checksum, magic = FOOTER.unpack(file.read())
            if magic != MAGIC or not start:
                raise EOFError
            file.seek(start)
            summary = memoryview(file.read())
            if checksum and crc32(summary[:-CHECKED]) != checksum:
                raise EOFError
            summary = summary[: -FOOTER.size]
        for opcode, begin, _ in _records(summary):
            if opcode == CHUNK_INDEX:
                self._chunks.append(PLACE.unpack_from(summary, begin))
            elif opcode == CHANNEL:
                (length,) = LENGTH.unpack_from(summary, begin + 4)  # after the numbers of channel and schema
                name = bytes(summary[begin + 8 : begin + 8 + length]).decode()
                self.topics[name] = int.from_bytes(summary[begin : begin + 2], "little")
        self._chunks.sort(key=itemgetter(2))  # their places in the file

    def _damaged(self, what: str) -> SessionError:
        return SessionError(f"{self.path} is damaged: {what} cannot be read; take the bag from a backup")


def _records(data: memoryview) -> Iterator[Record]:
    """Opcode, begin and end of each record's content."""
    begin = RECORD.size
    while begin <= len(data):
        opcode, length = RECORD.unpack_from(data, begin - RECORD.size)
        yield opcode, begin, begin + length
        begin += length + RECORD.size


def _content(record: bytes) -> memoryview:
    """The records in a chunk, from the record that is the chunk."""
    _, _, size, checksum, name_length = CHUNK_HEADER.unpack_from(record, RECORD.size)
    begin = RECORD.size + CHUNK_HEADER.size
    compression, packed = record[begin : begin + name_length].decode(), record[begin + name_length + 8 :]
    check_chunk(compression, packed, size)
    data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size) if compression else packed
    if len(data) != size or (checksum and crc32(data) != checksum):
        raise EOFError
    return memoryview(data)


def _collect(data: memoryview, received: dict[int, Received], limits: tuple[int, int] | None) -> None:
    """Sort the messages of a chunk by topic; those of others, and outside of the limits, are left out."""
    for opcode, begin, end in _records(data):
        if opcode != MESSAGE:
            continue
        number, _, time_ns, _ = MESSAGE_HEADER.unpack_from(data, begin)
        if number in received and (limits is None or limits[0] <= time_ns <= limits[1]):
            received[number].times_ns.append(time_ns)
            received[number].data.append(data[begin + MESSAGE_HEADER.size : end])
