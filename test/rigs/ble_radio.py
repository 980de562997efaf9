"""The air between Bluetooth controllers, as a process: `python -m rigs.ble_radio SOCKET…`, one HCI socket each.

Commands: `drop` (every link is lost now), `mute 1`, `mute 0` (everybody is out of range, or back), `links`.

Mends two gaps of bumble 0.0.236's controller: a cancelled connection attempt never ends, and there is no supervision
timeout, so a host that dies would leave its link up for ever.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from bumble import hci
from bumble.controller import Controller
from bumble.link import LocalLink
from bumble.transport import open_transport

from rigs.ble_process import serve

SUPERVISION_TIMEOUT_S = 2.0
"""A usual value: after so long without a packet both sides take the link for lost."""
POLL_S = 0.05


class Air(LocalLink):
    """Carries packets, unless muted."""

    def __init__(self) -> None:
        super().__init__()
        self.muted_at_s: float | None = None

    def send_acl_data(self, *arguments: Any) -> None:
        if self.muted_at_s is None:
            super().send_acl_data(*arguments)

    def send_advertising_pdu(self, *arguments: Any) -> None:
        if self.muted_at_s is None:
            super().send_advertising_pdu(*arguments)


class CancellableController(Controller):
    """Ends a pending connection with an event when the host cancels it, as the specification demands."""

    def on_hci_le_create_connection_cancel_command(self, command: Any) -> hci.HCI_StatusReturnParameters:
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        cancelled = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=pending.peer_address_type,
            peer_address=pending.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        asyncio.get_running_loop().call_soon(self.send_hci_packet, cancelled)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)


class Radio:
    """All controllers, and what happens to their links."""

    def __init__(self) -> None:
        self._air = Air()
        self._controllers: list[tuple[Any, CancellableController]] = []
        self._hostless_since_s: dict[str, float] = {}

    async def add_controller(self, socket: str) -> None:
        transport = await open_transport(f"unix-server:{socket}")
        number = len(self._controllers) + 1
        controller = CancellableController(
            f"C{number}",
            host_source=transport.source,
            host_sink=transport.sink,
            link=self._air,
            public_address=f"F0:0D:00:00:00:{number:02X}",
        )
        self._controllers.append((transport, controller))

    def links(self) -> int:
        return max(len(controller.le_connections) for _, controller in self._controllers)

    def drop(self) -> int:
        return sum(self._lose_links_of(controller) for _, controller in self._controllers)

    def _lose_links_of(self, controller: CancellableController) -> int:
        """Both ends of every link of this controller learn that it is lost."""
        links = [{link.self_address, link.peer_address} for link in controller.le_connections.values()]
        ends = [
            (other, link)
            for _, other in self._controllers
            for link in other.le_connections.values()
            if {link.self_address, link.peer_address} in links
        ]
        for other, link in ends:
            other.on_le_disconnected(link, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
        return len(ends)

    def mute(self, on: str) -> str:
        self._air.muted_at_s = time.monotonic() if on == "1" else None
        return on

    async def supervise(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if self._air.muted_at_s is not None and time.monotonic() - self._air.muted_at_s > SUPERVISION_TIMEOUT_S:
                self.drop()
            for transport, controller in self._controllers:
                self._supervise_host(transport, controller)

    def _supervise_host(self, transport: Any, controller: CancellableController) -> None:
        """A controller whose host has died falls silent, and its links end after the supervision time."""
        if getattr(transport.sink, "transport", None) is not None:
            self._hostless_since_s.pop(controller.name, None)
            return
        controller.le_legacy_advertiser.stop()
        for advertising in controller.advertising_sets.values():
            advertising.stop()
        since_s = self._hostless_since_s.setdefault(controller.name, time.monotonic())
        if controller.le_connections and time.monotonic() - since_s > SUPERVISION_TIMEOUT_S:
            self._lose_links_of(controller)


async def main(sockets: list[str]) -> None:
    radio = Radio()
    for socket in sockets:
        await radio.add_controller(socket)
    supervision = asyncio.create_task(radio.supervise())
    await serve({"drop": radio.drop, "mute": radio.mute, "links": radio.links})
    supervision.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
