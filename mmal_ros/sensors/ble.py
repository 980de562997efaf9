"""What every Bluetooth Low Energy source has in common: find, connect, subscribe, watch, find again.

bleak needs an asyncio loop; it runs in the thread of the `LiveSource`, so nobody else meets asyncio. Whether all is
well is decided by what was measured, not by the connection flag, nor by packets: a band may stay connected and send
nothing, and a strap may send packets without a beat in them.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress

from mmal_ros.datatypes import Sample
from mmal_ros.sensors.source import Clock, LiveSource, SourceError, SourceState, back_off, monotonic_s

try:
    from bleak import AdvertisementData, BleakClient, BleakScanner, BLEDevice
    from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError
except ImportError as missing:
    raise SourceError("Bluetooth needs the Python package bleak: pip install 'mmal_ros[robot]'") from missing

PacketHandler = Callable[[bytes, int], None]
"""Takes a packet and the time of its arrival on the clock of the source."""

BACKLOG = 1024
"""Samples that wait for a slow reader: half a minute of a wristband that sends 30 packets a second."""
SCAN_S = 5.0
CONNECT_S = 10.0
SILENT_AFTER_S = 1.5
"""Every device here sends at least once a second, and within two seconds it must be said that one does not."""
RECONNECT_AFTER_S = 4.0
"""A stalled device is not waited for for ever: a new connection starts its stream anew."""
UNMEASURED_AFTER_S = 6.0
"""So long packets may come without a measurement: a strap tells up to a second late of beats of which the slowest heart
has one in two seconds, and may miss one; an E4 holds back what comes until its layout is known, which takes 2 s."""
POLL_S = 0.1
GOODBYE_S = 0.8
"""How long a device may take to confirm that we leave; `close` must be over within 2 s."""


def uuid_of(short: str) -> str:
    """The full UUID of a four-digit one (Bluetooth Core Specification, vol 3 part B, 2.5.1)."""
    return f"0000{short}-0000-1000-8000-00805f9b34fb"


class DeviceAwayError(Exception):
    """The device cannot be used now; the message is the sentence for `SourceStatus.message`."""


class BluetoothSource(LiveSource):
    """A source that listens to notifications of one device, found by its advertised name or its address.

    A subclass names its characteristics in `_handlers`, forgets in `_begin` what belongs to the connection before,
    and tells the device in `_start_stream` to send. All three run in the source's own thread. Whether it sends is
    watched here, and whether `_emit` is called for what it sends.
    """

    def __init__(self, target: str, clock: Clock) -> None:
        super().__init__(BACKLOG)
        self._target = target
        self._clock = clock
        self._newest_packet_s = monotonic_s()
        self._expected_since_s = monotonic_s()
        self._has_streamed = False
        self._others: set[str] = set()  # all that were heard: each scan hears some of them, which is no news

    @property
    @abstractmethod
    def _handlers(self) -> Mapping[str, PacketHandler]:
        """What to do with a notification, by the UUID of its characteristic; those the device lacks are left out."""

    @abstractmethod
    def _begin(self) -> None:
        """A new connection is there; nothing has come from it yet."""

    async def _start_stream(self, client: BleakClient) -> None:
        """Tell the device to send, where subscribing is not enough."""

    @property
    def _why_unmeasured(self) -> str:
        """One sentence, when packets have come for a while and no measurement."""
        return self._trouble or f"{self._target} is connected, but what it sends has no measurement in it"

    def _expect(self) -> None:
        """From now on a measurement should come."""
        self._expected_since_s = monotonic_s()

    def _emit(self, sample: Sample, state: SourceState = SourceState.STREAMING, message: str = "") -> None:
        self._expect()
        super()._emit(sample, state, message)

    def _run(self) -> None:
        asyncio.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        """Cancelling ends every wait inside bleak, also that for a connection; it may say goodbye for a moment."""
        work = asyncio.create_task(self._keep_connected())
        while not self._stop.is_set() and not work.done():
            await asyncio.sleep(POLL_S)
        work.cancel()
        await asyncio.wait({work}, timeout=GOODBYE_S)

    async def _keep_connected(self) -> None:
        waits = back_off()
        while True:
            before_s = self._newest_packet_s
            try:
                await self._stream_from(await self._find())
            except Exception as error:  # bleak lets D-Bus errors of a dozen kinds through; none may end the search
                state = SourceState.LOST if self._has_streamed else SourceState.STARTING
                self._update(state=state, message=_explain(error, self._target))
            if self._newest_packet_s > before_s:
                waits = back_off()
            await asyncio.sleep(next(waits))

    async def _find(self) -> BLEDevice:
        """The device, as soon as it advertises."""
        wanted = self._target.casefold()
        others = self._others

        def is_wanted(device: BLEDevice, advertisement: AdvertisementData) -> bool:
            names = {name for name in (advertisement.local_name, device.name, device.address) if name}
            others.update(names - {device.address})
            return wanted in {name.casefold() for name in names}

        if not self.status.message:
            self._update(message=f"looking for the Bluetooth device {self._target}")
        device = await BleakScanner.find_device_by_filter(is_wanted, timeout=SCAN_S)
        if device is None:
            heard = f"heard only {', '.join(sorted(others))}" if others else "heard no other device either"
            raise DeviceAwayError(
                f"no Bluetooth device {self._target} is in range ({heard}); switch it on and bring it near"
            )
        return device

    async def _stream_from(self, device: BLEDevice) -> None:
        """Connect and listen until the data ends; then raise DeviceAwayError."""
        gone = asyncio.Event()
        client = BleakClient(device, disconnected_callback=lambda _: gone.set(), timeout=CONNECT_S)
        await client.connect()
        if self.status.state is SourceState.STARTING:
            self._update(message="")  # it is not looked for any more
        try:
            self._begin()
            await self._subscribe(client)
            await self._start_stream(client)
            if self._has_streamed:
                self._update(count="reconnects")
            await self._watch(gone)
        finally:
            with suppress(Exception):  # the reason for leaving matters, not whether the goodbye was heard
                async with asyncio.timeout(GOODBYE_S):
                    await client.disconnect()

    async def _subscribe(self, client: BleakClient) -> None:
        known = {uuid: handler for uuid, handler in self._handlers.items() if client.services.get_characteristic(uuid)}
        if not known:
            raise DeviceAwayError(
                f"{self._target} has none of the characteristics of {self.name}: is it such a device?"
            )
        for uuid, handler in known.items():
            await client.start_notify(uuid, lambda _, data, handler=handler: self._receive(handler, bytes(data)))

    def _receive(self, handler: PacketHandler, packet: bytes) -> None:
        self._newest_packet_s = monotonic_s()
        self._has_streamed = True
        handler(packet, self._clock())

    async def _watch(self, gone: asyncio.Event) -> None:
        connected_s = monotonic_s()
        self._expect()
        self._trouble = ""
        while not gone.is_set():
            await asyncio.sleep(POLL_S)
            silent_s = monotonic_s() - max(connected_s, self._newest_packet_s)
            if silent_s > RECONNECT_AFTER_S:
                raise DeviceAwayError(f"{self._target} is connected but sends nothing; connecting again")
            if silent_s > SILENT_AFTER_S:
                self._update(
                    state=SourceState.SILENT,
                    message=f"{self._target} is connected but has sent nothing for {SILENT_AFTER_S} s",
                )
            elif monotonic_s() - self._expected_since_s > UNMEASURED_AFTER_S:
                self._update(state=SourceState.SILENT, message=self._why_unmeasured)
        raise DeviceAwayError(f"the link to {self._target} is lost; looking for it: is it on and near?")


def _explain(error: Exception, target: str) -> str:
    """One sentence with the remedy."""
    if isinstance(error, DeviceAwayError):
        return str(error)
    if isinstance(error, BleakBluetoothNotAvailableError):
        return f"no usable Bluetooth adapter ({error.args[0].rstrip('.')}): plug one in, or `bluetoothctl power on`"
    if isinstance(error, BleakDBusError) and error.dbus_error.startswith("org.freedesktop.DBus.Error"):
        return "the Bluetooth service does not run: apt install bluez, then `systemctl start bluetooth`"
    if isinstance(error, FileNotFoundError | ConnectionError):
        return "no system D-Bus, which Bluetooth needs: apt install dbus bluez (in a container, mount /run/dbus)"
    if isinstance(error, TimeoutError):
        return f"{target} does not answer: bring it near, and disconnect it from other computers and phones"
    return f"Bluetooth failed and is tried again: {type(error).__name__}: {error}"
