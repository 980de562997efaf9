"""The review server as `mmal review` runs it, on a port of its own, and a client that has opened the link."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from mmal_ros.review.app import create_app
from mmal_ros.review.server import Address, open_socket, serving

TOKEN = "a-token-of-the-tests"
CODER_TOKEN = "a-coders-token"
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Served:
    """A running server."""

    address: str
    port: int
    stranger: httpx.Client
    """Without the token."""
    reviewer: httpx.Client
    """With the cookie of the first link."""
    coder: httpx.Client
    """With that of the second."""

    def raw(self, request: bytes, wait_s: float = TIMEOUT_S) -> bytes:
        """What comes back for these very bytes, which no HTTP library would send."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as connection:
            connection.sendall(request)
            parts = iter(lambda: connection.recv(65536), b"")
            return b"".join(parts)

    def label(
        self, session: str, window_id: Any, value: str, request: str, annotator: str = "C1", note: str = ""
    ) -> Any:
        """Post a label."""
        body = {"window_id": window_id, "value": value, "annotator": annotator, "note": note, "request": request}
        return self.reviewer.post(f"/api/sessions/{session}/labels", json=body)


@contextmanager
def served(
    root: Path, models: Path, live: Any = None, address: Address | None = None, **options: Any
) -> Iterator[Served]:
    """Serve sessions for a test."""
    address = address or Address(port=0)
    app = create_app(root, TOKEN, live, models, secure=address.secure, coder_token=CODER_TOKEN, **options)
    with open_socket(address) as bound, serving(app, bound, address):
        port = bound.getsockname()[1]
        place = f"{'https' if address.secure else 'http'}://127.0.0.1:{port}"
        tls = ssl.create_default_context(cafile=address.certificate)
        with _client(place, tls) as stranger, _client(place, tls) as reviewer, _client(place, tls) as coder:
            _wait(stranger)
            assert reviewer.get(f"/?token={TOKEN}").status_code == 200
            assert coder.get(f"/?token={CODER_TOKEN}").status_code == 200
            yield Served(place, port, stranger, reviewer, coder)


def _client(place: str, tls: ssl.SSLContext) -> httpx.Client:
    return httpx.Client(base_url=place, verify=tls, timeout=TIMEOUT_S, follow_redirects=True, trust_env=False)


def _wait(client: httpx.Client) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            client.get("/")
        except httpx.ConnectError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)
        else:
            return
