"""A stand-in for the official E4 streaming server, in a process of its own: it can be killed for real.

    with E4Server() as server:
        source = E4StreamingServer("127.0.0.1", server.port, DEVICE, time.time_ns)

Run as a script it is the server itself: `python e4_server.py PORT RATE_FACTOR`, steered by lines on its standard input.
"""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

DEVICE = "9ff167"
PULSE_HZ = 1.2


@dataclass(frozen=True)
class Stream:
    line: str
    rate_hz: float
    per_packet: int
    """Values that the wristband sends at once."""
    value: Callable[[float], str]
    """Text of the value at so many seconds."""


STREAMS = {
    "acc": Stream("E4_Acc", 32, 6, lambda t: f"{round(20 * math.sin(t))} -3 62"),
    "bvp": Stream("E4_Bvp", 64, 10, lambda t: f"{40 * math.sin(2 * math.pi * PULSE_HZ * t):.3f}"),
    "gsr": Stream("E4_Gsr", 4, 2, lambda t: f"{2 + 0.5 * math.sin(t / 10):.6f}"),
    "tmp": Stream("E4_Temperature", 4, 2, lambda t: f"{33 + 0.2 * math.sin(t / 60):.2f}"),
    "ibi": Stream("E4_Ibi", PULSE_HZ, 1, lambda t: f"{1 / PULSE_HZ:.3f}"),
    "bat": Stream("E4_Battery", 0.5, 1, lambda t: "0.87"),
}


class Client:
    """One connection: commands in, replies and data out."""

    def __init__(self, band: Wristband, writer: asyncio.StreamWriter) -> None:
        self.band = band
        self.writer = writer
        self.device: str | None = None
        self.subscriptions: set[str] = set()

    def say(self, line: str) -> None:
        self.writer.write(f"{line}\r\n".encode())

    def answer(self, command: str, *arguments: str) -> None:
        handler = getattr(self, f"on_{command}", None)
        self.say(f"R {command} {handler(*arguments) if handler else 'ERR unknown command'}")

    def on_device_list(self) -> str:
        devices = [DEVICE] if self.band.connected else []
        return f"{len(devices)}" + "".join(f" | {device} Empatica_E4" for device in devices)

    def on_device_connect(self, device: str) -> str:
        if device != DEVICE:
            return "ERR The device requested for connection is not available."
        self.device = device
        return "OK"

    def on_device_subscribe(self, stream: str, status: str) -> str:
        if self.device is None:
            return f"{stream} ERR You are not connected to any device"
        (self.subscriptions.add if status == "ON" else self.subscriptions.discard)(stream)
        return f"{stream} OK"


@dataclass
class Wristband:
    """Sends packets whose stamps count from the first one at the nominal rate, whatever the real rate is."""

    rate_factor: float
    connected: bool = True
    silent: bool = False
    garbled: bool = False
    clients: set[Client] = field(default_factory=set)

    def tell(self, line: str, stream: str | None = None) -> None:
        for client in self.clients:
            if client.device and (stream is None or stream in client.subscriptions):
                client.say(line)

    async def send(self, name: str, stream: Stream) -> None:
        first_s, start_s, sent = time.time(), time.monotonic(), 0
        while True:
            sent += stream.per_packet
            due_s = start_s + sent / (stream.rate_hz * self.rate_factor)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if not self.connected or self.silent:
                continue
            for n in range(sent - stream.per_packet, sent):
                value = "?" if self.garbled and name != "bat" else stream.value(n / stream.rate_hz)
                self.tell(f"{stream.line} {first_s + n / stream.rate_hz:.6f} {value}", name)
                if name == "ibi":
                    self.tell(f"E4_Hr {first_s + n / stream.rate_hz:.6f} {60 * PULSE_HZ:.1f}", name)

    def steer(self, command: str) -> None:
        match command.strip():
            case "silence":
                self.silent = True
            case "speak":
                self.silent = self.garbled = False
            case "lose":
                self.connected = False
                self.tell(f"R connection lost to device {DEVICE}")
            case "restore":
                self.connected = True
                self.tell(f"R connection re-established to device {DEVICE}")
            case "press":
                self.tell(f"E4_Tag {time.time():.6f}", "tag")
            case "garble":
                self.tell("E4_Acc 16\x00#")
            case "garble all":
                self.garbled = True


async def serve(port: int, rate_factor: float) -> None:
    band = Wristband(rate_factor)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(band, writer)
        band.clients.add(client)
        try:
            while line := await reader.readline():
                client.answer(*line.decode().split())
        except ConnectionError as error:
            print(error, file=sys.stderr)
        finally:
            band.clients.discard(client)
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: band.steer(sys.stdin.readline()))
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.gather(*(band.send(name, stream) for name, stream in STREAMS.items()))


class E4Server:
    """The server as a process; the port stays the same when it is started again."""

    def __init__(self, rate_factor: float = 1.0) -> None:
        """`rate_factor`: how many times faster than nominal the wristband really measures."""
        self.port = 0
        self._rate_factor = rate_factor
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.port), str(self._rate_factor)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """SIGKILL: no farewell."""
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None

    def steer(self, command: str) -> None:
        """One of silence, speak, lose, restore, press, garble, and "garble all" until it speaks again."""
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
