"""The E4 wristband over Bluetooth Low Energy. EXPERIMENTAL: see `e4_packets`."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FloatArray, Sample
from mmal_ros.sensors.ble import BluetoothSource, PacketHandler, uuid_of
from mmal_ros.sensors.device_clock import DeviceClock
from mmal_ros.sensors.e4_packets import (
    RATE_HZ,
    E4PacketError,
    Layout,
    LayoutDetector,
    Stream,
    decode,
    decode_battery,
    decode_button,
)
from mmal_ros.sensors.source import Clock

if TYPE_CHECKING:
    from bleak import BleakClient

STREAMS = {
    uuid_of("3ea1"): Stream.BVP,
    uuid_of("3ea3"): Stream.ACC,
    uuid_of("3ea6"): Stream.TEMPERATURE,
    uuid_of("3ea8"): Stream.EDA,
}
COMMAND = uuid_of("3e71")
BUTTON = uuid_of("3eb2")
BATTERY = uuid_of("3eb3")
LOST_NS, LOST_PROOF_NS = 300_000_000, 400_000_000
"""Packets that stay so late for so long do so because others before them were lost on the air."""
MOST_UNDECIDED = 500
"""Packets that wait until the layout is known: many times what two seconds bring."""
START_STREAMING = 1
"""The command byte; the time as uint32 LE in seconds since 1970 follows."""


class E4Bluetooth(BluetoothSource):
    """Yields acc, bvp, eda, temperature, battery and tag of the E4 with this advertised name or address.

    With `layout="auto"` the first two seconds after the start are held back until the layout is known; then they come
    with their right stamps. A packet that cannot be read is left out, and counted in the status.
    """

    name = "e4 (Bluetooth)"

    def __init__(self, target: str, clock: Clock, layout: Literal["auto", "a", "b"] = "auto") -> None:
        super().__init__(target, clock)
        self._layout = None if layout == "auto" else Layout(layout)
        self._begin()

    @property
    def layout(self) -> Layout | None:
        """The layout the band speaks; None while it is not known."""
        return self._layout

    @property
    def _handlers(self) -> Mapping[str, PacketHandler]:
        signals = {uuid: partial(self._on_packet, stream) for uuid, stream in STREAMS.items()}
        return {**signals, BUTTON: self._on_button, BATTERY: self._on_battery}

    def _begin(self) -> None:
        self._clocks = {stream: DeviceClock(LOST_NS, LOST_PROOF_NS) for stream in Stream}
        self._waiting: dict[Stream, list[tuple[int, FloatArray]]] = {stream: [] for stream in Stream}
        self._counts = dict.fromkeys(Stream, 0)
        self._bvp_level = 0.0
        self._detector = LayoutDetector()
        self._undecided: deque[tuple[Stream, bytes, int]] = deque(maxlen=MOST_UNDECIDED)

    async def _start_stream(self, client: BleakClient) -> None:
        now_s = self._clock() // NANOSECONDS_PER_SECOND
        await client.write_gatt_char(COMMAND, struct.pack("<BI", START_STREAMING, now_s), response=True)

    def _on_packet(self, stream: Stream, packet: bytes, arrival_ns: int) -> None:
        if self._layout is None:
            self._undecided.append((stream, packet, arrival_ns))
            self._layout = self._detector.add(stream, packet, arrival_ns)
            if self._layout is not None:
                for held_back in self._undecided:
                    self._decode(self._layout, *held_back)
        else:
            self._decode(self._layout, stream, packet, arrival_ns)

    def _decode(self, layout: Layout, stream: Stream, packet: bytes, arrival_ns: int) -> None:
        try:
            values = decode(stream, layout, packet)
        except E4PacketError as error:
            self._reject(error)
            return
        if stream is Stream.BVP and layout is Layout.A:
            values = (self._bvp_level + np.cumsum(values, dtype=np.float64)).astype(np.float32)
            self._bvp_level = float(values[-1])
        self._emit_signal(stream, values, arrival_ns)

    def _emit_signal(self, stream: Stream, values: FloatArray, arrival_ns: int) -> None:
        """Stamp by counting: the band's clock is its number of samples, and the newest one has just been sent.

        While it is in doubt whether packets are late or others before them were lost, they wait for their stamps.
        """
        clock, waiting = self._clocks[stream], self._waiting[stream]
        self._counts[stream] += len(values)
        device_ns = (self._counts[stream] - 1) * NANOSECONDS_PER_SECOND // RATE_HZ[stream]
        host_ns = clock.to_host(device_ns, arrival_ns)
        waiting.append((device_ns, values))
        if clock.in_doubt:
            return
        for newest_ns, values in waiting:
            self._emit_stamped(stream, values, host_ns - (device_ns - newest_ns))
        waiting.clear()

    def _emit_stamped(self, stream: Stream, values: FloatArray, newest_ns: int) -> None:
        rate_hz = RATE_HZ[stream]
        first_ns = newest_ns - round((len(values) - 1) * NANOSECONDS_PER_SECOND / rate_hz)
        self._emit(Sample(stream.value, first_ns, values, float(rate_hz)))

    def _on_button(self, packet: bytes, arrival_ns: int) -> None:
        try:
            if decode_button(packet):
                self._emit_event(Sample("tag", arrival_ns, np.ones(1, np.float32), 0.0))
        except E4PacketError as error:
            self._reject(error)

    def _on_battery(self, packet: bytes, arrival_ns: int) -> None:
        try:
            self._emit_event(Sample("battery", arrival_ns, np.array([decode_battery(packet)], np.float32), 0.0))
        except E4PacketError as error:
            self._reject(error)
