"""Serialised messages taken apart without ROS: one field by field, or thousands that lie alike as rows of a table.

Four bytes say "CDR, little endian"; then come the fields in the order of the .msg file, each aligned to its size,
counted from after these four bytes. A string is its length with the 0 at its end, and itself; a sequence its length
and its elements.

Source: OMG DDS-XTypes 1.3, 7.4.1 (plain CDR), as ROS 2's default middleware writes it and rosbag2 stores it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray

LITTLE_ENDIAN = b"\0\1\0\0"
ORIGIN = len(LITTLE_ENDIAN)
Bytes = bytes | memoryview
Integers = NDArray[np.int64]


class CdrError(ValueError):
    """Bytes that are not the message they should be."""


class Cursor:
    """Goes through one message, field by field; raises CdrError where it ends too early."""

    def __init__(self, data: Bytes) -> None:
        if data[:ORIGIN] != LITTLE_ENDIAN:
            raise CdrError("a message is not little endian CDR")
        self.data = data
        self.at = ORIGIN
        """Byte at which the next field begins, but for its alignment."""

    def skip(self, size: int, align: int | None = None) -> int:
        """Go over a field of so many bytes; returns where it begins."""
        align = align or size
        begin = ORIGIN + -(-(self.at - ORIGIN) // align) * align
        self.at = begin + size
        if self.at > len(self.data):
            raise CdrError(f"a message of {len(self.data)} bytes ends too early")
        return begin

    def number(self, code: str) -> Any:
        """A number, of a type that `struct` knows by this letter."""
        return struct.unpack_from(f"<{code}", self.data, self.skip(struct.calcsize(code)))[0]

    def text(self) -> str:
        """A string."""
        size = self.number("I")
        begin = self.skip(size, 1)
        return bytes(self.data[begin : begin + size]).rstrip(b"\0").decode(errors="replace")

    def stamp_ns(self) -> int:
        """A time, in nanoseconds."""
        return int(self.number("i")) * NANOSECONDS_PER_SECOND + int(self.number("I"))

    def floats(self) -> FloatArray:
        """A sequence of float32."""
        size = 4 * self.number("I")
        begin = self.skip(size, 1)
        return np.frombuffer(self.data[begin : begin + size], "<f4")


def tables(
    messages: Sequence[Bytes], layout: Callable[[Bytes], tuple[np.dtype[Any], Integers]]
) -> Iterator[tuple[Integers, NDArray[Any]]]:
    """Messages that lie alike, as structured arrays: which of the messages they are, and the rows.

    Args:
        messages: of one type.
        layout: looks at one message, and says how all that lie like it do; and which of its bytes tell that one does:
            the lengths of its strings and sequences, and what else is to be the same in all rows. What fills the gaps
            of alignment is nothing: ROS leaves there whatever was in memory.
    """
    sizes = np.array([len(message) for message in messages], np.int64)
    left = np.arange(len(messages))
    while left.size:
        first = messages[left[0]]
        kind, telling = layout(first)
        long = left[sizes[left] == len(first)]
        rows = np.frombuffer(b"".join([messages[index] for index in long]), np.uint8).reshape(len(long), -1)
        alike = (rows[:, telling] == rows[0, telling]).all(axis=1)
        if not alike.all():
            rows = np.ascontiguousarray(rows[alike])
        yield long[alike], rows.view(kind)[:, 0]
        left = np.setdiff1d(left, long[alike], assume_unique=True)
