"""An MCAP writer whose memory stays flat: the library keeps an object for every chunk until the bag is complete."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from mcap.data_stream import RecordBuilder
from mcap.records import ChunkIndex
from mcap.writer import CompressionType, Writer

CHUNK_BYTES = 1 << 16
"""A chunk is closed by `flush`, or when it is as large as this: pictures."""
BLOCK_BYTES = 1 << 14
"""Of the index are compressed together: a minute of a session."""


class FlatWriter(Writer):  # type: ignore[misc]  # the library has no types
    """ZSTD chunks, and their index kept as the bytes that will be written, compressed: 0.3 instead of 5 MB an hour."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._Writer__chunk_indices: Any = _PackedIndex()  # the only way in; test_bag.py notices when it is closed


class _PackedIndex:
    """What the writer does with its list of chunks: add one, and in the end write all."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._fresh = bytearray()

    def append(self, index: ChunkIndex) -> None:
        """Keep the bytes of one more."""
        builder = RecordBuilder()
        index.write(builder)
        self._fresh += builder.end()
        if len(self._fresh) >= BLOCK_BYTES:
            self._blocks.append(zlib.compress(self._fresh))
            self._fresh.clear()

    def __iter__(self) -> Iterator[_PackedIndex]:
        yield self

    def write(self, builder: RecordBuilder) -> None:
        """All of them, as they would be written one after the other."""
        for block in self._blocks:
            builder.write(zlib.decompress(block))
        builder.write(self._fresh)
