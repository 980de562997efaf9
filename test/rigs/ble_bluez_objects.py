"""The D-Bus objects of the stand-in for bluetoothd: their properties, and the signals that tell of their changes."""

from __future__ import annotations

from typing import Any

from bumble.core import UUID
from bumble.gatt import Characteristic
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
ADAPTER, DEVICE, SERVICE, CHARACTERISTIC = (
    f"org.bluez.{name}" for name in ("Adapter1", "Device1", "GattService1", "GattCharacteristic1")
)
ADAPTER_PATH = "/org/bluez/hci0"

SIGNATURES = {
    **dict.fromkeys(("Address", "AddressType", "Name", "Alias", "UUID"), "s"),
    **dict.fromkeys(("Powered", "Discovering", "Paired", "Bonded", "Trusted", "Blocked", "Connected"), "b"),
    **dict.fromkeys(("ServicesResolved", "Primary", "Notifying"), "b"),
    **dict.fromkeys(("Roles", "UUIDs", "Flags"), "as"),
    **dict.fromkeys(("Adapter", "Device", "Service"), "o"),
    "Includes": "ao",
    "Value": "ay",
    "MTU": "q",
    "RSSI": "n",
}
FLAGS = {
    Characteristic.Properties.READ: "read",
    Characteristic.Properties.WRITE: "write",
    Characteristic.Properties.WRITE_WITHOUT_RESPONSE: "write-without-response",
    Characteristic.Properties.NOTIFY: "notify",
    Characteristic.Properties.INDICATE: "indicate",
}


def variants(**properties: Any) -> dict[str, Variant]:
    return {name: Variant(SIGNATURES[name], value) for name, value in properties.items()}


def full_uuid(uuid: UUID) -> str:
    text = uuid.to_hex_str("-").lower()
    return text if len(text) == 36 else f"0000{text}-0000-1000-8000-00805f9b34fb"


class ObjectTree:
    """What `GetManagedObjects` shows; every change is signalled on the bus."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._objects: dict[str, dict[str, dict[str, Variant]]] = {"/org/bluez": {}}

    def __contains__(self, path: str) -> bool:
        return path in self._objects

    def below(self, path: str) -> list[str]:
        """Children before their parents."""
        return sorted((child for child in self._objects if child.startswith(f"{path}/")), reverse=True)

    def add(self, path: str, interface: str, **properties: Any) -> None:
        self._objects[path] = {interface: variants(**properties)}
        self._signal("/", OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, self._objects[path]])

    def remove(self, path: str) -> None:
        self._signal("/", OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, list(self._objects.pop(path))])

    def set(self, path: str, interface: str, **properties: Any) -> None:
        changed = variants(**properties)
        self._objects[path][interface].update(changed)
        self.tell_changed(path, interface, changed)

    def tell_changed(self, path: str, interface: str, changed: dict[str, Variant]) -> None:
        self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, changed, []])

    def answer(self, message: Message) -> Message | None:
        """To a question about objects or properties; None: it is none."""
        if message.interface == OBJECT_MANAGER and message.member == "GetManagedObjects":
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [self._objects])
        if message.interface != PROPERTIES or message.path not in self._objects:
            return None
        interfaces = self._objects[message.path]
        if message.member == "GetAll":
            return Message.new_method_return(message, "a{sv}", [interfaces.get(message.body[0], {})])
        if message.member == "Get":
            return Message.new_method_return(message, "v", [interfaces[message.body[0]][message.body[1]]])
        return Message.new_method_return(message)

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        self._bus.send(
            Message(
                message_type=MessageType.SIGNAL,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )
