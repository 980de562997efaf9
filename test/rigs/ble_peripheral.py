"""What the virtual wristband and the virtual strap have in common: a GATT server that advertises and says goodbye."""

from __future__ import annotations

from typing import Any

from bumble.core import AdvertisingData
from bumble.device import Device, DeviceConfiguration
from bumble.gatt import Characteristic, Service
from bumble.hci import Address
from bumble.transport import open_transport

NOTIFY = Characteristic.Properties.NOTIFY
READABLE = Characteristic.READABLE
ADVERTISING_INTERVAL_MS = 100


def notifying(uuid: str) -> Characteristic:
    """A characteristic, of a four-digit UUID, that can only be listened to."""
    return Characteristic(uuid, NOTIFY, READABLE, b"")


class Peripheral:
    """A Bluetooth device on the controller behind an HCI socket."""

    def __init__(self, name: str, address: str) -> None:
        self._name = name
        self._address = Address(address)
        self._device: Device | None = None
        self._connection: Any = None

    async def advertise(self, hci_socket: str, services: list[Service]) -> None:
        """Offer the services, now and after every connection."""
        transport = await open_transport(f"unix-client:{hci_socket}")
        configuration = DeviceConfiguration(name=self._name, address=self._address, gap_service_enabled=True)
        self._device = Device.from_config_with_hci(configuration, transport.source, transport.sink)
        self._device.add_services(services)
        self._device.on("connection", self._on_connection)
        await self._device.power_on()
        await self._device.start_advertising(
            advertising_data=self._advertisement(services),
            auto_restart=True,
            advertising_interval_min=ADVERTISING_INTERVAL_MS,
            advertising_interval_max=ADVERTISING_INTERVAL_MS,
        )

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def notify(self, characteristic: Characteristic, packet: bytes) -> None:
        assert self._device is not None
        await self._device.notify_subscribers(characteristic, packet)

    async def disconnect(self) -> str:
        """Leave on our own account, as a device does that is switched off properly."""
        if self._connection is not None:
            await self._connection.disconnect()
        return "gone"

    def on_disconnected(self) -> None:
        """For a subclass: the link is gone."""

    def _on_connection(self, connection: Any) -> None:
        self._connection = connection
        connection.on("disconnection", self._on_disconnection)

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        self.on_disconnected()

    def _advertisement(self, services: list[Service]) -> bytes:
        return bytes(
            AdvertisingData(
                [
                    (AdvertisingData.FLAGS, bytes([0x06])),  # general discoverable, no classic Bluetooth
                    (AdvertisingData.COMPLETE_LOCAL_NAME, self._name.encode()),
                    (AdvertisingData.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, bytes(services[0].uuid)),
                ]
            )
        )
