"""The server around the application: port, TLS, limits, and the link that lets somebody in."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from mmal_ros.review import DEFAULT_PORT
from mmal_ros.review.security import LOOPBACK_NAMES
from mmal_ros.wording import why

PORTS_TO_TRY = 20
MOST_CONNECTIONS = 64
KEEP_ALIVE_S = 15
SLOWEST_REQUEST_S = 10.0
"""Until the headers of a request are there, and before that until TLS has begun."""
SLOWEST_READER_S = 30.0
"""Until who leaves an answer lying goes on to take it."""
GRACE_S = 3
"""Requests that still run at the end have so long."""
STOP_TIMEOUT_S = 2.0 * GRACE_S
LONGEST_HEADERS = 16 * 1024


class AddressError(ValueError):
    """An address that cannot be served, or should not be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and how."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """The first one to try; 0: any."""
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    """Serve others without TLS: whoever listens on the network sees children."""

    @property
    def secure(self) -> bool:
        """Whether it is TLS."""
        return self.certificate is not None

    @property
    def names(self) -> frozenset[str]:
        """Host names that may be used to call it."""
        return LOOPBACK_NAMES if is_loopback(self.host) else LOOPBACK_NAMES | {self.host.lower(), *_own_names()}

    def check(self) -> None:
        """Raise AddressError where it would show children to a network, or the files of TLS are not there."""
        if (self.certificate is None) != (self.key is None):
            raise AddressError("TLS needs both, --tls-cert and --tls-key")
        for path in filter(None, (self.certificate, self.key)):
            if not path.is_file():
                raise AddressError(
                    f"{path} is not there; `openssl req -x509 -nodes -newkey rsa:2048` makes key and cert"
                )
        self._check_pair()
        if not (is_loopback(self.host) or self.secure or self.insecure):
            raise AddressError(
                f"--host {self.host} lets other computers in, so it needs --tls-cert and --tls-key; "
                "--insecure goes without, and then whoever listens on the network sees the clips"
            )

    def _check_pair(self) -> None:
        if self.certificate is None:
            return
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password=lambda: b"")
        except ssl.SSLError as error:
            raise AddressError(
                f"{self.certificate} and {self.key} are no certificate and key that belong together, in PEM, "
                f"without a password ({error.reason or error})"
            ) from error
        except OSError as error:  # the file is not named in it
            raise AddressError(f"{self.certificate} or {self.key} cannot be read: {why(error)}") from error

    def link(self, port: int, token: str, path: str = "/") -> str:
        """What to open in a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if _is_any(self.host):
            host = socket.gethostname()
        return f"{'https' if self.secure else 'http'}://{host}:{port}{path}?token={token}"


def is_loopback(host: str) -> bool:
    """Whether nobody but this computer can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK_NAMES


def open_socket(address: Address) -> socket.socket:
    """Bind to the port, or to the next one that is free; raises AddressError."""
    ports = range(address.port, min(address.port + PORTS_TO_TRY, 65536) if address.port else 1)
    for port in ports:
        try:
            return _bound(address.host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise AddressError(f"{address.host}:{port} cannot be served: {why(error)}") from error
    raise AddressError(f"ports {ports[0]} to {ports[-1]} are taken; name another with --port")


def serve(app: FastAPI, bound: socket.socket, address: Address) -> None:
    """Serve until Ctrl-C or SIGTERM; raises KeyboardInterrupt when it was Ctrl-C."""
    _Server(app, address).run(sockets=[bound])


@contextmanager
def serving(app: FastAPI, bound: socket.socket, address: Address) -> Iterator[None]:
    """Serve in a thread, beside something else."""
    server = _Server(app, address)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="review server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_TIMEOUT_S)


class _Impatient(H11Protocol):
    """Hangs up on who connects and does not ask, or takes long over it; where many do, first on who has longest.

    And on who asks and does not take the answer. uvicorn itself waits so long only for the next byte, so that a byte
    now and then would keep a place for ever, and without an end for an answer to be taken.
    """

    _patience: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _since_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request so long, and no longer."""
        super().connection_made(transport)
        self._be_patient()
        if len(self.connections) >= MOST_CONNECTIONS:
            idle = [other for other in self.connections if isinstance(other, _Impatient) and other._asks_nothing]
            longest = min(idle, key=lambda other: other._since_s)
            longest.transport.abort()
            self.connections.discard(longest)  # at once, for as many more may come before it is told

    def data_received(self, data: bytes) -> None:
        """Whoever has asked is answered; whoever begins to ask has so long to come to the end of it."""
        super().data_received(data)
        if self._asks_nothing:
            self._be_patient()
        elif self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def pause_writing(self) -> None:
        """Whoever leaves an answer lying has so long to go on."""
        super().pause_writing()
        self._unread = self.loop.call_later(SLOWEST_READER_S, self.transport.abort)

    def resume_writing(self) -> None:
        """They took it."""
        super().resume_writing()
        self._forget_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to wait for."""
        super().connection_lost(exc)
        self._forget_unread()

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    @property
    def _asks_nothing(self) -> bool:
        """No request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _be_patient(self) -> None:
        if self._patience is None:
            self._since_s = self.loop.time()
            self._patience = self.loop.call_later(SLOWEST_REQUEST_S, self.transport.abort)


class _Server(uvicorn.Server):
    """Waits neither for streams at its end, which never end by themselves, nor for TLS that does not begin."""

    def __init__(self, app: FastAPI, address: Address) -> None:
        super().__init__(_config(app, address))
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which has no setting for how long a handshake may take, and waits a minute for it."""
        await super().startup(sockets=[])  # all but to listen
        for bound in sockets or ():
            self.servers.append(await self._listen(bound))

    async def _listen(self, bound: socket.socket) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            lambda: _Impatient(self.config, self.server_state, self.lifespan.state),
            sock=bound,
            ssl=self.config.ssl,
            backlog=self.config.backlog,
            ssl_handshake_timeout=SLOWEST_REQUEST_S if self.config.ssl else None,  # refused where there is no TLS
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """First the streams, then what is left."""
        self._app.state.ending.set()
        await super().shutdown(sockets)


def _config(app: FastAPI, address: Address) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,  # its own handler would write tracebacks with codes of participants past ours
        log_level="warning",
        access_log=False,  # it would have codes of participants
        server_header=False,
        proxy_headers=False,  # nobody may say for others where they come from
        ws="none",
        http=_Impatient,
        h11_max_incomplete_event_size=LONGEST_HEADERS,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
    )


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)  # asyncio sends at once only where it is told that this is TCP
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart finds its own port taken
        bound.bind(place)
        bound.listen()  # else somebody who starts at the same moment gets the same port
    except OSError:
        bound.close()
        raise
    return bound


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local", socket.getfqdn().lower()}


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
