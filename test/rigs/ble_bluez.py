"""A stand-in for bluetoothd as a process: `python -m rigs.ble_bluez HCI_SOCKET [--without-adapter]`, on the system bus.

Owns org.bluez and serves the part of its API (doc/org.bluez.*.rst of BlueZ) that bleak's BlueZ backend uses, over a
bumble host. So bleak runs unmodified, as on a robot.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass, field
from typing import Any

from bumble.core import AdvertisingData
from bumble.device import Device, Peer
from bumble.hci import Address
from bumble.transport import open_transport
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.auth import AuthExternal

from rigs.ble_bluez_objects import (
    ADAPTER,
    ADAPTER_PATH,
    CHARACTERISTIC,
    DEVICE,
    FLAGS,
    SERVICE,
    ObjectTree,
    full_uuid,
    variants,
)
from rigs.ble_process import serve

HOST_ADDRESS = "F0:F1:F2:F3:F4:02"
CONNECT_TIMEOUT_S = 20.0
"""As bluetoothd: the page of a device that does not answer ends after about so long."""


@dataclass
class KnownDevice:
    """A device that has advertised."""

    address: Address
    connection: Any = None


@dataclass
class KnownCharacteristic:
    """A characteristic of a connected device."""

    peer: Peer
    attribute: Any
    subscriber: Any = field(default=None)


class BluezStandIn:
    """What happens on the radio becomes D-Bus objects, and calls of their methods go to the radio."""

    def __init__(self) -> None:
        self._devices: dict[str, KnownDevice] = {}
        self._characteristics: dict[str, KnownCharacteristic] = {}
        self._scanners = 0
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self, hci_socket: str, has_adapter: bool) -> None:
        transport = await open_transport(f"unix-client:{hci_socket}")
        self._host = Device.with_hci("bluez", Address(HOST_ADDRESS), transport.source, transport.sink)
        await self._host.power_on()
        self._host.on("advertisement", self._on_advertisement)
        self._bus = await MessageBus(bus_type=BusType.SYSTEM, auth=AuthExternal()).connect()
        self._objects = ObjectTree(self._bus)
        if has_adapter:
            self._add_adapter()
        self._bus.add_message_handler(self._on_message)
        await self._bus.request_name("org.bluez")

    def _add_adapter(self) -> None:
        self._objects.add(
            ADAPTER_PATH,
            ADAPTER,
            Address="F0:0D:00:00:00:01",
            AddressType="public",
            Name="virtual",
            Alias="virtual",
            Powered=True,
            Discovering=False,
            Roles=["central", "peripheral"],
            UUIDs=[],
        )

    # --- radio events

    def _on_advertisement(self, advertisement: Any) -> None:
        if not self._scanners:
            return
        address = str(advertisement.address).split("/")[0]
        path = f"{ADAPTER_PATH}/dev_{address.replace(':', '_')}"
        if path in self._objects:
            self._objects.set(path, DEVICE, RSSI=advertisement.rssi)
            return
        self._devices[path] = KnownDevice(advertisement.address)
        name = advertisement.data.get(AdvertisingData.COMPLETE_LOCAL_NAME) or address.replace(":", "-")
        kind = AdvertisingData.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS
        self._objects.add(
            path,
            DEVICE,
            Address=address,
            AddressType="random",
            Name=name,
            Alias=name,
            Adapter=ADAPTER_PATH,
            UUIDs=[full_uuid(uuid) for uuids in advertisement.data.get_all(kind) for uuid in uuids],
            RSSI=advertisement.rssi,
            **dict.fromkeys(("Paired", "Bonded", "Trusted", "Blocked", "Connected", "ServicesResolved"), False),
        )

    async def _connect(self, path: str) -> None:
        device = self._devices[path]
        device.connection = await self._host.connect(device.address, timeout=CONNECT_TIMEOUT_S)
        device.connection.on("disconnection", lambda _reason: self._on_lost(path))
        self._objects.set(path, DEVICE, Connected=True)
        peer = Peer(device.connection)
        await peer.discover_services()
        for service in peer.services:
            service_path = f"{path}/service{service.handle:04x}"
            self._objects.add(
                service_path, SERVICE, UUID=full_uuid(service.uuid), Primary=True, Device=path, Includes=[]
            )
            for attribute in await service.discover_characteristics():
                self._add_characteristic(service_path, peer, attribute)
                await attribute.discover_descriptors()
        self._objects.set(path, DEVICE, ServicesResolved=True)

    def _add_characteristic(self, service_path: str, peer: Peer, attribute: Any) -> None:
        path = f"{service_path}/char{attribute.handle:04x}"
        self._characteristics[path] = KnownCharacteristic(peer, attribute)
        self._objects.add(
            path,
            CHARACTERISTIC,
            UUID=full_uuid(attribute.uuid),
            Service=service_path,
            Value=b"",
            Notifying=False,
            MTU=peer.connection.att_mtu,
            Flags=[name for flag, name in FLAGS.items() if attribute.properties & flag],
        )

    def _on_lost(self, path: str) -> None:
        self._devices[path].connection = None
        for child in self._objects.below(path):
            self._characteristics.pop(child, None)
            self._objects.remove(child)
        self._objects.set(path, DEVICE, ServicesResolved=False)
        self._objects.set(path, DEVICE, Connected=False)

    # --- method calls

    def _on_message(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.interface in (ADAPTER, DEVICE, CHARACTERISTIC):
            call = asyncio.ensure_future(self._call(message))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            return True
        return self._objects.answer(message)

    async def _call(self, message: Message) -> None:
        """Run the method of that name; what goes wrong goes back as bluetoothd would say it."""
        try:
            value = await getattr(self, f"_method_{message.member}")(message)
            reply = Message.new_method_return(message, *(("ay", [value]) if value is not None else ()))
        except KeyError:
            reply = Message.new_error(message, "org.freedesktop.DBus.Error.UnknownObject", "it is gone")
        except Exception as error:
            reply = Message.new_error(message, "org.bluez.Error.Failed", repr(error))
        self._bus.send(reply)

    async def _method_SetDiscoveryFilter(self, _: Message) -> None:  # noqa: N802
        """Every advertisement is told anyway."""

    async def _method_StartDiscovery(self, _: Message) -> None:  # noqa: N802
        self._scanners += 1
        if self._scanners == 1:
            await self._host.start_scanning(filter_duplicates=False)
            self._objects.set(ADAPTER_PATH, ADAPTER, Discovering=True)

    async def _method_StopDiscovery(self, _: Message) -> None:  # noqa: N802
        self._scanners -= 1
        if self._scanners == 0:
            await self._host.stop_scanning()
            self._objects.set(ADAPTER_PATH, ADAPTER, Discovering=False)

    async def _method_Connect(self, message: Message) -> None:  # noqa: N802
        await self._connect(message.path)

    async def _method_Disconnect(self, message: Message) -> None:  # noqa: N802
        connection = self._devices[message.path].connection
        if connection is not None:
            await connection.disconnect()
        elif self._host.is_le_connecting:
            await self._host.cancel_connection()

    async def _method_StartNotify(self, message: Message) -> None:  # noqa: N802
        known, path = self._characteristics[message.path], message.path

        def tell(value: bytes) -> None:
            self._objects.tell_changed(path, CHARACTERISTIC, variants(Value=value))

        known.subscriber = tell
        await known.peer.subscribe(known.attribute, tell)
        self._objects.set(path, CHARACTERISTIC, Notifying=True)

    async def _method_StopNotify(self, message: Message) -> None:  # noqa: N802
        known = self._characteristics[message.path]
        await known.peer.unsubscribe(known.attribute, known.subscriber)

    async def _method_ReadValue(self, message: Message) -> bytes:  # noqa: N802
        known = self._characteristics[message.path]
        return bytes(await known.peer.read_value(known.attribute))

    async def _method_WriteValue(self, message: Message) -> None:  # noqa: N802
        known, (value, options) = self._characteristics[message.path], message.body
        with_response = "type" not in options or options["type"].value != "command"
        await known.peer.write_value(known.attribute, bytes(value), with_response=with_response)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("hci_socket")
    parser.add_argument("--without-adapter", action="store_true")
    arguments = parser.parse_args()
    stand_in = BluezStandIn()
    await stand_in.start(arguments.hci_socket, has_adapter=not arguments.without_adapter)
    await serve({})


if __name__ == "__main__":
    asyncio.run(main())
