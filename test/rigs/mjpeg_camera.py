"""An MJPEG camera on this machine that does what cameras do in the field: stalls, dies, freezes, sends its back-log.

Every picture carries the number of the moment it was taken in, as a row of black and white blocks that survives JPEG,
so that a test can tell how old a picture is that it got.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import cv2
import numpy as np

BITS = 20
BLOCK = 16
WIDTH, HEIGHT = BITS * BLOCK, 64


def numbered_picture(number: int) -> np.ndarray:
    """(64, 320, 3): the number in binary, the first block is the highest bit; over a pattern that moves."""
    bits = [(number >> bit) & 1 for bit in reversed(range(BITS))]
    row = np.repeat(np.array(bits, np.uint8) * 255, BLOCK)
    picture = np.tile(row, (HEIGHT, 1))
    picture[HEIGHT // 2 :] = np.roll(np.linspace(0, 255, WIDTH).astype(np.uint8), 7 * number)
    return np.stack([picture] * 3, axis=2)


def as_jpegs(picture: Callable[[int], np.ndarray]) -> Callable[[int], bytes]:
    """The same pictures as files."""
    return lambda number: cv2.imencode(".jpg", picture(number))[1].tobytes()


def number_of(picture: np.ndarray) -> int:
    """The number in a picture that may have been through JPEG."""
    blocks = picture[: HEIGHT // 2, :, 1].reshape(HEIGHT // 2, BITS, BLOCK).mean(axis=(0, 2)) > 127
    return int("".join("1" if block else "0" for block in blocks), 2)


NUMBERED = as_jpegs(numbered_picture)


class MjpegCamera:
    """Serves `url` until the context is left; picture n is taken n / rate_hz seconds after the start."""

    def __init__(self, rate_hz: float = 30.0, jpeg: Callable[[int], bytes] = NUMBERED) -> None:
        """`jpeg` gives picture n."""
        self.rate_hz = rate_hz
        self._jpeg = jpeg
        self._server: ThreadingHTTPServer | None = None
        self._address = ("127.0.0.1", 0)
        self._started_s = time.monotonic()
        self._sending = threading.Event()
        self._frozen_at: int | None = None
        self._backlog = False
        self._generation = 0

    def __enter__(self) -> Self:
        self.switch_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.switch_off()

    @property
    def url(self) -> str:
        """Valid from the first time it is switched on, and the same after the next."""
        return f"http://127.0.0.1:{self._address[1]}/cam"

    @property
    def now(self) -> int:
        """Number of the picture that is being taken."""
        return int((time.monotonic() - self._started_s) * self.rate_hz)

    @property
    def is_off(self) -> bool:
        return self._server is None

    def switch_on(self) -> None:
        """Listen; on the same port as before."""
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera._serve(self)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(self._address, Handler)
        self._address = self._server.server_address[:2]
        self._sending.set()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def switch_off(self) -> None:
        """The plug is pulled: connections break, the port is closed."""
        self.die()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def pace(self, rate_hz: float) -> None:
        """Take more or fewer pictures a second from now on."""
        self._started_s = time.monotonic() - self.now / rate_hz
        self.rate_hz = rate_hz

    def stall(self) -> None:
        """Send nothing more; connections stay. What is taken meanwhile is lost."""
        self._backlog = False
        self._sending.clear()

    def hold_back(self) -> None:
        """Send nothing more, but keep what is taken; `go` sends it all at once."""
        self._backlog = True
        self._sending.clear()

    def go(self) -> None:
        """Send again, and what was held back first."""
        self._frozen_at = None
        self._sending.set()

    def freeze(self) -> None:
        """Send the same picture over and over."""
        self._frozen_at = self.now

    def die(self) -> None:
        """Break every connection; new ones are taken."""
        self._generation += 1
        self._sending.set()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        try:
            request.send_response(200)
            request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            request.end_headers()
            self._send_pictures(request)
        except OSError:
            request.close_connection = True  # the client went away

    def _send_pictures(self, request: BaseHTTPRequestHandler) -> None:
        generation = self._generation
        number = self.now
        while generation == self._generation:
            if self._sending.wait(0.05):
                _send(request, self._jpeg(number if self._frozen_at is None else self._frozen_at))
                number = number + 1 if self._backlog and number < self.now else max(self.now, number + 1)
                time.sleep(max(0.0, self._started_s + number / self.rate_hz - time.monotonic()))


def _send(request: BaseHTTPRequestHandler, jpeg: bytes) -> None:
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    request.wfile.write(head.encode() + jpeg + b"\r\n")
    request.wfile.flush()
