"""A virtual E4 as a process: `python -m rigs.ble_wristband HCI_SOCKET [--layout b] [--rate-error 0.005]`.

It speaks the packets of either published layout at their rates and carries the counting signal. It starts to stream
when told (01 and a time written to 3e71), and numbers on over connections, so nothing can be sent twice unseen.

Commands: `stall` and `resume` (connected but silent), `disconnect`, `tag`, `battery PERCENT`, `garbage` (an acc packet
of a wrong length), `hurry FACTOR` (from now on measure and send so many times as fast), `state` (JSON: connected,
streaming, told_s, start_ns, first: number of each stream's first value).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import time
from typing import Any

import numpy as np
from bumble.gatt import Characteristic, CharacteristicValue, Service

from mmal_ros.sensors.e4_packets import RATE_HZ, Layout, Stream
from rigs.ble_e4_encoders import VALUES_PER_PACKET, counting_signal, encode
from rigs.ble_peripheral import Peripheral, notifying
from rigs.ble_process import serve

NAME = "Empatica E4"
ADDRESS = "F0:F1:F2:F3:F4:E4"
CHARACTERISTICS = {Stream.BVP: "3ea1", Stream.ACC: "3ea3", Stream.TEMPERATURE: "3ea6", Stream.EDA: "3ea8"}
BUTTON, BATTERY, COMMAND = "3eb2", "3eb3", "3e71"
PAUSE_S = 0.02


class Wristband(Peripheral):
    """The band; its clock is wrong by `rate_error` (0.005: it measures 0.5 % more often than it says)."""

    def __init__(self, layout: Layout, rate_error: float) -> None:
        super().__init__(NAME, ADDRESS)
        self._layout = layout
        self._pace = 1.0 + rate_error
        self._signals = {stream: notifying(uuid) for stream, uuid in CHARACTERISTICS.items()}
        self._button, self._battery = notifying(BUTTON), notifying(BATTERY)
        self._next = dict.fromkeys(Stream, 0)
        self._first = dict.fromkeys(Stream, 0)
        self._start_ns = 0
        self._told_s = 0
        self._streaming = False
        self._stalled = False

    def services(self) -> list[Service]:
        writable = Characteristic.Properties.WRITE | Characteristic.Properties.WRITE_WITHOUT_RESPONSE
        command = Characteristic(
            COMMAND, writable, Characteristic.WRITEABLE, CharacteristicValue(write=lambda _, value: self._obey(value))
        )
        return [
            Service("3ea0", list(self._signals.values())),
            Service("3e70", [command]),
            Service("3eb0", [self._button, self._battery]),
        ]

    def on_disconnected(self) -> None:
        self._streaming = False

    def _obey(self, command: bytes) -> None:
        self._streaming = command[0] == 1
        if self._streaming:
            (self._told_s,) = struct.unpack("<I", command[1:5])
            self._first = dict(self._next)
            self._start_ns = time.time_ns()

    async def stream(self, stream: Stream) -> None:
        """Send a packet whenever its last value has been measured; stalled, measure on without sending."""
        size = VALUES_PER_PACKET[stream, self._layout]
        while True:
            last = self._next[stream] + size - 1
            due_s = (self._measured_ns(stream, last) - time.time_ns()) / 1e9
            if not self._streaming or due_s > 0:
                await asyncio.sleep(min(due_s, PAUSE_S) if self._streaming else PAUSE_S)
                continue
            numbers = np.arange(self._next[stream], last + 1)
            self._next[stream] += size
            if not self._stalled:
                raw = counting_signal(stream, self._layout, numbers)
                await self.notify(self._signals[stream], encode(stream, self._layout, raw, last // size))

    def _measured_ns(self, stream: Stream, number: int) -> int:
        return self._start_ns + round((number - self._first[stream]) / (RATE_HZ[stream] * self._pace) * 1e9)

    def set_stalled(self, stalled: bool) -> str:
        self._stalled = stalled
        return "stalled" if stalled else "resumed"

    async def press(self) -> str:
        await self.notify(self._button, bytes([1]) + bytes(19))
        return "pressed"

    async def tell_battery(self, percent: str) -> str:
        await self.notify(self._battery, bytes([int(percent)]))
        return percent

    async def send_garbage(self) -> str:
        await self.notify(self._signals[Stream.ACC], bytes(7))
        return "sent"

    def hurry(self, factor: str) -> str:
        self._first, self._start_ns = dict(self._next), time.time_ns()
        self._pace *= float(factor)
        return factor

    def state(self) -> str:
        first: dict[str, Any] = {stream.value: number for stream, number in self._first.items()}
        return json.dumps(
            {
                "connected": self.is_connected,
                "streaming": self._streaming,
                "told_s": self._told_s,
                "start_ns": self._start_ns,
                "first": first,
            }
        )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("hci_socket")
    parser.add_argument("--layout", type=Layout, default=Layout.A)
    parser.add_argument("--rate-error", type=float, default=0.0)
    arguments = parser.parse_args()
    band = Wristband(arguments.layout, arguments.rate_error)
    await band.advertise(arguments.hci_socket, band.services())
    streams = [asyncio.create_task(band.stream(stream)) for stream in Stream]
    await serve(
        {
            "stall": lambda: band.set_stalled(True),
            "resume": lambda: band.set_stalled(False),
            "disconnect": band.disconnect,
            "tag": band.press,
            "battery": band.tell_battery,
            "garbage": band.send_garbage,
            "hurry": band.hurry,
            "state": band.state,
        }
    )
    for stream in streams:
        stream.cancel()


if __name__ == "__main__":
    asyncio.run(main())
