"""A virtual chest strap as a process: `python -m rigs.ble_strap HCI_SOCKET`. Standard Heart Rate Service.

Its heart beats in a known pattern; once a second it tells the intervals that ended since the last time, as a real
strap does: none, one or several.

Commands: `take_off` and `put_on` (skin contact), `disconnect`, `beats` (JSON: when each beat was, in ns).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
import sys
import time

from bumble.gatt import Service

from rigs.ble_peripheral import Peripheral, notifying
from rigs.ble_process import serve

NAME = "Strap H7"
ADDRESS = "F0:F1:F2:F3:F4:07"
TICKS = 1024
INTERVAL_PATTERN_TICKS = (820, 860, 790, 400, 420, 1400, 800)
"""An irregular heart: two early beats and a pause, so that notifications carry none to several intervals."""
NOTIFICATION_PERIOD_S = 1.0
CONTACT, NO_CONTACT, HAS_INTERVALS = 0x06, 0x04, 0x10


class Strap(Peripheral):
    """The strap and the heart below it."""

    def __init__(self) -> None:
        super().__init__(NAME, ADDRESS)
        self._measurement = notifying("2a37")
        self._worn = True
        self._beats_ns: list[int] = []
        self._untold_ticks: list[int] = []

    def services(self) -> list[Service]:
        return [Service("180d", [self._measurement])]

    async def beat(self) -> None:
        at_ns = time.time_ns()
        for ticks in itertools.cycle(INTERVAL_PATTERN_TICKS):
            at_ns += round(ticks / TICKS * 1e9)
            await asyncio.sleep(max(0.0, (at_ns - time.time_ns()) / 1e9))
            self._beats_ns.append(at_ns)
            self._untold_ticks.append(ticks)

    async def tell(self) -> None:
        while True:
            await asyncio.sleep(NOTIFICATION_PERIOD_S)
            told, self._untold_ticks = self._untold_ticks, []
            if not self._worn:
                await self.notify(self._measurement, bytes([NO_CONTACT, 0]))
            else:
                flags = CONTACT | (HAS_INTERVALS if told else 0)
                await self.notify(self._measurement, struct.pack(f"<BB{len(told)}H", flags, 72, *told))

    def set_worn(self, worn: bool) -> str:
        self._worn = worn
        return "on" if worn else "off"

    def beats(self) -> str:
        return json.dumps(self._beats_ns)


async def main(hci_socket: str) -> None:
    strap = Strap()
    await strap.advertise(hci_socket, strap.services())
    tasks = [asyncio.create_task(strap.beat()), asyncio.create_task(strap.tell())]
    await serve(
        {
            "take_off": lambda: strap.set_worn(False),
            "put_on": lambda: strap.set_worn(True),
            "disconnect": strap.disconnect,
            "beats": strap.beats,
        }
    )
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
