"""A whole Bluetooth world without hardware: bleak's own BlueZ backend talks to virtual devices over a virtual radio.

    with VirtualBluetooth() as bluetooth:
        band = bluetooth.switch_on_wristband(layout="a")
        ...                                     # bleak finds "Empatica E4"
        bluetooth.drop()                        # the link is lost
        band.ask("stall")                       # connected, but silent

Needs Debian's `dbus` (dbus-daemon) and the Python packages bumble and bleak. Sockets live in a temporary folder, so
any number of worlds can stand side by side, and everything ends with the `with` block.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from rigs.ble_process import RigProcess

BUS_VARIABLE = "DBUS_SYSTEM_BUS_ADDRESS"
WRISTBAND_NAME, WRISTBAND_ADDRESS = "Empatica E4", "F0:F1:F2:F3:F4:E4"
STRAP_NAME = "Strap H7"


class VirtualBluetooth:
    """A radio, an adapter with its service, and room for one wristband and one strap, which are off at first."""

    def __init__(self, adapter: bool = True) -> None:
        """Without `adapter` the computer has a Bluetooth service but nothing to plug an antenna into."""
        self._has_adapter = adapter

    def __enter__(self) -> Self:
        if shutil.which("dbus-daemon") is None:
            raise FileNotFoundError("the virtual Bluetooth needs dbus-daemon: apt install dbus")
        self._folder = Path(tempfile.mkdtemp(prefix="mmal-ble-"))
        self._processes: list[RigProcess] = []
        self._outside = os.environ.get(BUS_VARIABLE)
        os.environ[BUS_VARIABLE] = f"unix:path={self._folder / 'bus'}"
        self._bus = subprocess.Popen(
            ["dbus-daemon", "--session", f"--address={os.environ[BUS_VARIABLE]}", "--nofork", "--print-address"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it complains that it may not raise its limit of open files
            text=True,
        )
        self._radio = self._start("ble_radio", *(self._socket(name) for name in ("adapter", "wristband", "strap")))
        assert self._bus.stdout is not None
        self._bus.stdout.readline()  # its address: now it listens
        self._service = self._start(
            "ble_bluez", self._socket("adapter"), *([] if self._has_adapter else ["--without-adapter"])
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
        self._bus.kill()
        self._bus.communicate()
        if self._outside is None:
            del os.environ[BUS_VARIABLE]
        else:
            os.environ[BUS_VARIABLE] = self._outside
        shutil.rmtree(self._folder)

    def switch_on_wristband(self, layout: str = "a", rate_error: float = 0.0) -> RigProcess:
        """See `rigs.ble_wristband` for what it can be asked."""
        return self._start(
            "ble_wristband", self._socket("wristband"), "--layout", layout, "--rate-error", str(rate_error)
        )

    def switch_on_strap(self) -> RigProcess:
        """See `rigs.ble_strap` for what it can be asked."""
        return self._start("ble_strap", self._socket("strap"))

    def switch_off(self, device: RigProcess) -> None:
        """At once, without goodbye."""
        self._processes.remove(device)
        device.kill()

    def drop(self) -> None:
        """Every link is lost now."""
        self._radio.ask("drop")

    def go_out_of_range(self) -> None:
        """Nobody hears anybody; links are lost after two seconds."""
        self._radio.ask("mute", 1)

    def come_back(self) -> None:
        self._radio.ask("mute", 0)

    def hang_service(self) -> None:
        """bluetoothd answers nothing any more."""
        self._service.freeze()

    def _socket(self, name: str) -> str:
        return str(self._folder / name)

    def _start(self, module: str, *arguments: str) -> RigProcess:
        process = RigProcess(module, *arguments)
        self._processes.append(process)
        process.wait_until_ready()
        return process
