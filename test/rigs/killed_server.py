"""The review server in a process of its own that is killed and started again, as by somebody who types `mmal review`.

It keeps its address; the link has another token each time.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mmal_ros.review.app import create_app
from mmal_ros.review.security import new_token
from mmal_ros.review.server import Address, open_socket, serve

PATIENCE_S = 30.0


class KilledServer:
    """A server process; each is forked from one that has loaded everything already."""

    def __init__(self, root: Path, models: Path) -> None:
        self._folders = (root, models)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["mmal_ros.review.app", "mmal_ros.review.server"])
        self._process: Any = None
        self._port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def link(self) -> str:
        """What this one printed."""
        return f"{self.address}/?token={self._token}"

    def start(self, root: Path | None = None) -> None:
        """The next life, perhaps with other sessions; requests wait in the socket until it answers."""
        self._folders = (root or self._folders[0], self._folders[1])
        receiver, sender = self._context.Pipe(duplex=False)
        self._token = new_token()
        arguments = (*self._folders, self._port, self._token, sender)
        self._process = self._context.Process(target=_live, args=arguments, daemon=True)
        self._process.start()
        assert receiver.poll(PATIENCE_S), "the server did not start"
        self._port = receiver.recv()

    def kill(self) -> None:
        """SIGKILL; gone when this returns."""
        self._process.kill()
        self._process.join(PATIENCE_S)


def _live(root: Path, models: Path, port: int, token: str, told: Connection) -> None:
    address = Address(port=port)
    with open_socket(address) as bound:
        bound.listen()
        told.send(bound.getsockname()[1])
        serve(create_app(root, token, models=models), bound, address)
