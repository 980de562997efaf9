"""A live microphone over PortAudio.

Whether it works is decided by the sound that comes, measured against wall time: a suspended source looks open and
active for ever, and a back-log arrives without any flag of an overflow.
"""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Sample
from mmal_ros.sensors.device_clock import DeviceClock
from mmal_ros.sensors.portaudio import InputError, input_stream
from mmal_ros.sensors.source import Clock, LiveSource, SourceState, back_off, monotonic_s

BACKLOG_MS = 1000
"""Sound that may wait for a slow reader; older sound is thrown away."""
POLL_S = 0.1
FIRST_BLOCK_S = 3.0
"""PulseAudio takes up to 2 s to wake a source."""
SILENT_AFTER_S = 1.0
"""Blocks come every 20 ms; whoever watches is to know within 2 s."""
MUTED_AFTER_S = 1.5
"""Even a quiet room is never all zeros, unless a noise gate (a headset's, say) makes it so."""
LATE_NS = 300_000_000
"""Sound that arrives so much later than it was recorded is of no use to a live estimate."""
LOST_AFTER_S = 1.0
"""A back-log is caught up with at once. If all stays late, then some sound was lost and the count must begin anew."""


GONE = "microphone '{}' or the sound server went away: plug it in, or start the server (pulseaudio --start)"
SUSPENDED = "microphone '{}' sends nothing: wake it (pactl suspend-source @DEFAULT_SOURCE@ 0) or plug it in again"
MUTED = "microphone '{}' sends only zeros: unmute it (pactl set-source-mute @DEFAULT_SOURCE@ 0)"


class _Block(NamedTuple):
    pcm: bytes
    arrival_ns: int


class Timekeeper:
    """Says when the blocks of one stream were recorded, by counting values and watching when they arrive."""

    _device_clock: DeviceClock
    _counted: int
    _late_since_s: float | None
    """On the steady clock; None: what comes is on time."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._restart()

    def stamp(self, count: int, arrival_ns: int, now_s: float) -> int | None:
        """When the first of the next `count` values was recorded; None if so long ago that nobody needs them.

        `arrival_ns` is on the clock of the stamps, `now_s` on the steady clock.
        """
        self._counted += count
        newest_ns = self._device_clock.to_host(self._duration_ns(self._counted), arrival_ns)
        if arrival_ns - newest_ns <= LATE_NS:
            self._late_since_s = None
            return newest_ns - self._duration_ns(count - 1)
        if self._late_since_s is None:
            self._late_since_s = now_s
        elif now_s - self._late_since_s > LOST_AFTER_S:
            self._restart()
        return None

    def _restart(self) -> None:
        self._device_clock = DeviceClock()
        self._counted = 0
        self._late_since_s = None

    def _duration_ns(self, count: int) -> int:
        return round(count / self._rate_hz * NANOSECONDS_PER_SECOND)


class Microphone(LiveSource):
    """Sound as float32 mono, -1 to 1; the stamps count values and follow the host's clock slowly.

    Sound that arrives more than 300 ms late is dropped and counted in `status.dropped`. A device that is not there,
    goes away or falls silent is reported and looked for again; a wrong name shows as such in `status`, with the
    inputs that there are. A microphone that sends only zeros is reported as silent, but its zeros are handed on.
    """

    name = "microphone"

    def __init__(self, device: str, clock: Clock, rate_hz: int = 16_000, block_ms: int = 20) -> None:
        """`device`: `default`, the index of an input, or its name or a part of it. One sample lasts `block_ms`."""
        super().__init__(backlog=BACKLOG_MS // block_ms)
        self._device = device
        self._clock = clock
        self._rate_hz = rate_hz
        self._block_size = rate_hz * block_ms // 1000

    def _run(self) -> None:
        waits = back_off()
        while not self._stop.is_set():
            received = self.status.received
            try:
                self._listen()
            except InputError as error:
                self._update(state=SourceState.LOST, message=f"{error}; looking for it again")
            if self.status.received > received:
                waits = back_off()
            self._stop.wait(next(waits))

    def _listen(self) -> None:
        """Hand on what the device sends, until it fails and `status` says how."""
        blocks: SimpleQueue[_Block] = SimpleQueue()

        def on_block(pcm: bytes) -> None:
            blocks.put(_Block(pcm, self._clock()))

        with input_stream(self._device, self._rate_hz, self._block_size, on_block) as stream:
            first = self._wait_for(blocks, stream, FIRST_BLOCK_S)
            if first is None:
                return
            if self.status.received:
                self._update(count="reconnects")
            self._zeros_s = 0.0
            timekeeper = Timekeeper(self._rate_hz)
            self._receive(first, timekeeper)
            while block := self._wait_for(blocks, stream, SILENT_AFTER_S):
                self._receive(block, timekeeper)

    def _wait_for(self, blocks: SimpleQueue[_Block], stream: Any, patience_s: float) -> _Block | None:
        """The next block; None when there is none in time, which `status` then explains, or this source is closed."""
        for _ in range(round(patience_s / POLL_S)):  # counted: a process that was halted has not waited
            if self._stop.is_set():
                return None
            with suppress(Empty):
                return blocks.get(timeout=POLL_S)
            if not stream.is_active():
                self._update(state=SourceState.LOST, message=GONE.format(self._device))
                return None
        self._update(state=SourceState.SILENT, message=SUSPENDED.format(self._device))
        return None

    def _receive(self, block: _Block, timekeeper: Timekeeper) -> None:
        values = np.frombuffer(block.pcm, np.int16).astype(np.float32) / 32768
        stamp_ns = timekeeper.stamp(len(values), block.arrival_ns, monotonic_s())
        if stamp_ns is None:
            self._update(count="received")
            self._update(count="dropped")
            return
        self._zeros_s = 0.0 if values.any() else self._zeros_s + len(values) / self._rate_hz
        sample = Sample("microphone", stamp_ns, values, self._rate_hz)
        if self._zeros_s > MUTED_AFTER_S:
            self._emit(sample, SourceState.SILENT, MUTED.format(self._device))
        else:
            self._emit(sample)
