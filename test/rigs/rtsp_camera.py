"""An RTSP camera on this machine: MPEG-2 in a transport stream over RTP (RFC 2250), inside the RTSP connection.

As much of RTSP 1.0 (RFC 2326) as a player asks of a camera; no server for it is among the wheels.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import av
import numpy as np

RATE_HZ = 15
RTP_PAYLOAD = 7 * 188
"""Bytes: seven packets of a transport stream, as is usual."""
TRANSPORT_STREAM = 33
"""RTP's number for it (RFC 3551)."""
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
    f"m=video 0 RTP/AVP {TRANSPORT_STREAM}\r\na=control:video\r\n"
)
ANSWERS = {
    "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n",
    "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}",
    "SETUP": "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
    "PLAY": "Session: 1\r\n\r\n",
}


class RtspCamera:
    """Serves `url` until the context is left."""

    def __init__(self, picture: Callable[[int], np.ndarray]) -> None:
        """`picture` makes the n-th one, BGR."""
        self._picture = picture
        self._sending = threading.Event()
        self._sending.set()
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        self._start(0)
        return self

    def _start(self, port: int) -> None:
        camera = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):  # the player went away
                    camera._answer(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.switch_off()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self._server.server_address[1]}/camera"

    def stall(self) -> None:
        """Send nothing more; connections stay, and new ones are answered."""
        self._sending.clear()

    def go(self) -> None:
        self._sending.set()

    def switch_off(self) -> None:
        """Nobody answers any more, and connections end."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def switch_on(self) -> None:
        """There again, at the same address."""
        self._closed.clear()
        self._start(self._server.server_address[1])

    def _answer(self, player: socketserver.StreamRequestHandler) -> None:
        method = ""
        while method != "PLAY" and (request := _read_request(player)):
            method = request.partition(" ")[0]
            player.wfile.write(_answer_to(method, request))
        if method == "PLAY":
            self._stream(player.connection)

    def _stream(self, connection: socket.socket) -> None:
        stream = _TransportStream(connection)
        with av.open(stream, "w", format="mpegts", options={"flush_packets": "1"}) as container:
            track = container.add_stream("mpeg2video", rate=RATE_HZ, options={"g": "5", "bf": "0"})
            track.height, track.width = self._picture(0).shape[:2]
            track.pix_fmt = "yuv420p"
            for number in self._numbers():
                frame = av.VideoFrame.from_ndarray(self._picture(number), format="bgr24")
                container.mux(track.encode(frame))
                if stream.ended:
                    return

    def _numbers(self) -> Iterator[int]:
        """Of the pictures, when they are due."""
        number, begin_s = 0, time.monotonic()
        while not self._closed.is_set():
            if self._sending.wait(0.05):
                yield number
                number += 1
                time.sleep(max(begin_s + number / RATE_HZ - time.monotonic(), 0))


class _TransportStream:
    """Takes the bytes that the muxer writes and sends them as RTP."""

    def __init__(self, connection: socket.socket) -> None:
        self.ended = False
        """The player went away."""
        self._connection = connection
        self._rest = b""
        self._number = 0

    def write(self, data: bytes) -> int:
        self._rest += bytes(data)
        while len(self._rest) >= RTP_PAYLOAD:
            self._send(self._rest[:RTP_PAYLOAD])
            self._rest = self._rest[RTP_PAYLOAD:]
        return len(data)

    def _send(self, payload: bytes) -> None:
        clock = int(time.monotonic() * 90_000) & 0xFFFFFFFF
        head = struct.pack(">BBHII", 0x80, TRANSPORT_STREAM, self._number & 0xFFFF, clock, 1)
        self._number += 1
        packet = head + payload
        try:
            self._connection.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
        except OSError:  # the muxer cannot be told
            self.ended = True


def _answer_to(method: str, request: str) -> bytes:
    number = request.lower().partition("cseq:")[2].partition("\r\n")[0].strip()
    if method == "SETUP" and "interleaved" not in request:  # then the player asks again
        return f"RTSP/1.0 461 Unsupported Transport\r\nCSeq: {number}\r\n\r\n".encode()
    return f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{ANSWERS[method]}".encode()


def _read_request(player: socketserver.StreamRequestHandler) -> str:
    lines = []
    while (line := player.rfile.readline().decode()).strip():
        lines.append(line)
    return "".join(lines)
