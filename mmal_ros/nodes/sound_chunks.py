"""Short blocks of sound, joined to chunks that are worth a message."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmal_ros.datatypes import Sample

CHUNK_NS = 50_000_000
GAP_NS = 5_000_000
"""Blocks that lie farther apart, or overlap more, do not belong together."""


class SoundChunks:
    """Joins consecutive blocks until they last 50 ms; a gap ends a chunk."""

    def __init__(self, emit: Callable[[Sample], None]) -> None:
        self._emit = emit
        self._blocks: list[Sample] = []

    def add(self, block: Sample) -> None:
        """The next block."""
        if self._blocks and abs(block.stamp_ns - _following_ns(self._blocks[-1])) > GAP_NS:
            self._join()
        self._blocks.append(block)
        if _following_ns(block) - self._blocks[0].stamp_ns >= CHUNK_NS:
            self._join()

    def _join(self) -> None:
        first = self._blocks[0]
        values = np.concatenate([block.values for block in self._blocks])
        self._blocks = []
        self._emit(Sample(first.source, first.stamp_ns, values, first.rate_hz))


def _following_ns(block: Sample) -> int:
    """When the first value after a block would be measured."""
    return block.end_ns + round(1e9 / block.rate_hz)
