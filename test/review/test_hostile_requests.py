"""Requests that no browser sends, from somebody on the network who has no token, or hangs on to a connection."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mmal_ros.review import server as review_server
from mmal_ros.review.security import Access
from mmal_ros.review.server import Address, _Impatient
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.store import SessionStore
from rigs.certificate import certify
from rigs.review import TOKEN, Served, served
from rigs.sessions import make_session

COOKIE = f"Cookie: {Access(TOKEN).cookie}={TOKEN}\r\n"
HOST = "Host: 127.0.0.1\r\n"
QUICK_S = 0.3
PATIENCE_S = 30.0
MANY_BYTES = 16 << 20
"""Of requests: more than two sockets hold that nobody reads."""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("sessions"), minutes=0.5, flags=2)


@pytest.fixture(scope="module")
def server(session: SessionFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(session.path.parent, tmp_path_factory.mktemp("models")) as running:
        yield running


@pytest.fixture(params=["plain", "TLS"])
def impatient(
    request: pytest.FixtureRequest, session: SessionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A server that waits for nobody."""
    monkeypatch.setattr(review_server, "SLOWEST_REQUEST_S", QUICK_S)
    monkeypatch.setattr(review_server, "SLOWEST_READER_S", QUICK_S)
    address = Address(port=0) if request.param == "plain" else Address("127.0.0.1", 0, *certify(tmp_path))
    with served(session.path.parent, tmp_path, address=address) as running:
        yield running


def connected(server: Served) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
    if not server.address.startswith("https"):
        return connection
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)


def hung_up(connection: socket.socket) -> bool:
    """Whether the other end closes it, with or without saying goodbye."""
    try:
        while connection.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        return True
    except TimeoutError:
        return False
    return True


def read_until(connection: socket.socket, sought: bytes) -> bytes:
    """The last that comes up to and with what is sought, or all there is."""
    end = b""
    while sought not in end and (part := connection.recv(65536)):
        end = end[-len(sought) :] + part
    return end


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize(
    "request_line",
    [
        "GET http://evil.example/ HTTP/1.1",
        "GET http://127.0.0.1/api/sessions HTTP/1.1",
        "CONNECT evil.example:443 HTTP/1.1",
        "TRACE / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "HEAD /api/sessions HTTP/1.1",
        "PROPFIND / HTTP/1.1",
        "GET / HTTP/1.0",
        "GET /../../etc/passwd HTTP/1.1",
        "GET /static/%00 HTTP/1.1",
        "GET /static/..\\..\\app.py HTTP/1.1",
        "GET /%c0%ae%c0%ae/etc/passwd HTTP/1.1",
        "GET / HTTP/2.0",
        "PRI * HTTP/2.0",
        "\x16\x03\x01",
    ],
)
def test_a_stranger_gets_nothing_by_an_odd_request(server: Served, session: SessionFolder, request_line: str) -> None:
    answer = server.raw(f"{request_line}\r\n{HOST}Connection: close\r\n\r\n".encode("latin-1"))
    assert status(answer) in (400, 401, 403, 404, 501, 505), answer[:200]
    assert session.name.encode() not in answer
    assert b"Cookie" not in answer.partition(b"\r\n\r\n")[2]  # nothing is echoed


@pytest.mark.parametrize("request_line", ["TRACE /", "OPTIONS /", "PUT /", "DELETE /api/sessions", "CONNECT a:1"])
def test_a_method_that_no_page_uses_does_nothing(server: Served, request_line: str) -> None:
    answer = server.raw(f"{request_line} HTTP/1.1\r\n{HOST}{COOKIE}Connection: close\r\n\r\n".encode())
    assert status(answer) in (404, 405), answer[:200]
    assert TOKEN.encode() not in answer


def test_an_upgrade_to_a_websocket_is_an_ordinary_request(server: Served) -> None:
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    for who, expected in (("", 401), (COOKIE, 200)):
        with connected(server) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\n{HOST}{who}{upgrade}\r\n".encode())
            assert status(connection.recv(65536)) == expected


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Host: evil.example\r\n",
        "X: a\r\n folded\x00: b\r\n",
        "X: a\nY: b\r\n",
    ],
)
def test_what_two_servers_might_read_differently_is_refused(server: Served, headers: str) -> None:
    body = "GET /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    request = f"POST /api/live/flag HTTP/1.1\r\n{HOST}{COOKIE}{headers}Connection: close\r\n\r\n{body}"
    answer = server.raw(request.encode("latin-1"))
    assert status(answer) in (400, 404, 422, 501), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1  # the second request was not one


def test_a_request_that_is_smuggled_in_a_body_stays_a_body(server: Served) -> None:
    hidden = f"GET /api/sessions HTTP/1.1\r\n{HOST}{COOKIE}\r\n"
    chunked = f"{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n"
    for headers, body in (
        (f"Content-Length: {len(hidden)}\r\n", hidden),
        ("Transfer-Encoding: chunked\r\n", chunked),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunked),
    ):
        request = f"POST /api/live/flag HTTP/1.1\r\n{HOST}{COOKIE}{headers}Connection: close\r\n\r\n{body}"
        answer = server.raw(request.encode())
        assert answer.count(b"HTTP/1.1 ") == 1, headers
        assert b"participant" not in answer


@pytest.mark.parametrize(
    ("act", "where"),
    [
        *(("labels", name) for name in ("note", "annotator", "request", "value")),
        ("undo", "annotator"),
        ("undo", "request"),
    ],
)
def test_half_of_a_character_is_refused_in_one_sentence(
    server: Served, session: SessionFolder, act: str, where: str
) -> None:
    """JSON can name it, and nothing else can keep it."""
    with SessionStore(session.labels) as store:
        window_id = store.flags()[0].window_id
    body = {"window_id": window_id, "annotator": "C1", "request": "half of a character"}
    body |= {"value": "low", "note": ""} if act == "labels" else {}
    text = json.dumps(body | {where: "C1\ud800 and some more"})
    headers = {"Content-Type": "application/json"}
    answer = server.reviewer.post(f"/api/sessions/{session.name}/{act}", content=text, headers=headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]


def test_headers_without_an_end_are_cut_off(server: Served) -> None:
    endless = b"GET / HTTP/1.1\r\n" + HOST.encode() + b"X: " + b"x" * (2 * review_server.LONGEST_HEADERS)
    assert status(server.raw(endless)) == 400
    many = "".join(f"X{number}: y\r\n" for number in range(5000))
    assert status(server.raw(f"GET / HTTP/1.1\r\n{HOST}{many}".encode())) == 400


RANGES = {
    "bytes=0-9": 206,
    "bytes=-10": 206,
    "bytes=0-999999999999999999999999": 206,
    "bytes=5-2": 400,
    "bytes=999999999999-": 416,
    "bytes=a-b": 400,
    "bytes=" + "9" * 4000 + "-": 416,
    "bytes=" + ",".join("0-" for _ in range(3000)): 200,
    "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 4000, 2)): 200,
    "lines=0-5": 400,
    "bytes=": 400,
    "": 200,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("ranges", RANGES, ids=lambda text: text[:30])
def test_a_range_of_a_clip_is_never_more_than_the_clip(server: Served, session: SessionFolder, ranges: str) -> None:
    clip = next(session.clips.iterdir())
    place = f"/api/sessions/{session.name}/clips/{clip.stem}"
    answer = server.reviewer.get(place, headers={"Range": ranges} if ranges else {})
    assert answer.status_code == RANGES[ranges]
    assert len(answer.content) < clip.stat().st_size + 400_000  # with a few lines about each part
    assert server.stranger.get(place, headers={"Range": ranges} if ranges else {}).status_code == 401


# --- who keeps a place that others need -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: 127",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nG",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n{",
        b"POST /api/live/flag HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n{",
    ],
    ids=["nothing", "half a request", "half a second request", "a body with GET", "a body that nobody waits for"],
)
def test_a_byte_now_and_then_keeps_no_place(impatient: Served, beginning: bytes) -> None:
    with connected(impatient) as connection:
        connection.sendall(beginning)
        deadline, gone = time.monotonic() + PATIENCE_S, False
        while not gone:
            assert time.monotonic() < deadline, "it still listens"
            try:
                connection.sendall(b"x" if beginning else b"")
            except (ConnectionError, ssl.SSLError):
                gone = True
            connection.settimeout(QUICK_S / 3)
            gone = gone or hung_up(connection)
    assert impatient.reviewer.get("/").status_code == 200


def test_who_asks_again_and_again_and_takes_no_answer_keeps_no_place(impatient: Served) -> None:
    request = f"GET / HTTP/1.1\r\n{HOST}\r\n".encode()
    with connected(impatient) as connection, pytest.raises((ConnectionError, ssl.SSLError)):  # and no TimeoutError
        connection.sendall(request * (MANY_BYTES // len(request)))
    assert impatient.reviewer.get("/").status_code == 200


def test_who_lets_answers_wait_for_a_moment_is_not_hung_up_on_later(
    session: SessionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, pause = threading.Event(), _Impatient.pause_writing
    monkeypatch.setattr(_Impatient, "pause_writing", lambda self: (pause(self), full.set()))
    monkeypatch.setattr(review_server, "SLOWEST_READER_S", 3.0)
    request = f"GET / HTTP/1.1\r\n{HOST}\r\n".encode()
    last = f"GET /nowhere HTTP/1.1\r\n{HOST}{COOKIE}\r\n".encode()
    with served(session.path.parent, tmp_path) as running, connected(running) as connection:
        connection.sendall(request * 10_000 + last)
        assert full.wait(PATIENCE_S)
        assert b"HTTP/1.1 404" in read_until(connection, b"HTTP/1.1 404")
        time.sleep(4.0)
        connection.sendall(last)
        assert b"HTTP/1.1 404" in read_until(connection, b"HTTP/1.1 404")


def test_who_connects_and_never_begins_with_tls_is_hung_up_on(
    session: SessionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_server, "SLOWEST_REQUEST_S", 1.0)
    with (
        served(session.path.parent, tmp_path, address=Address("127.0.0.1", 0, *certify(tmp_path))) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_S) as connection,
    ):
        assert hung_up(connection)
        assert running.reviewer.get("/").status_code == 200


def test_many_who_only_connect_keep_nobody_out(server: Served) -> None:
    with ExitStack() as crowd:
        for _ in range(3 * review_server.MOST_CONNECTIONS):
            crowd.enter_context(connected(server))
        for _ in range(5):
            answer = server.raw(f"GET / HTTP/1.1\r\n{HOST}{COOKIE}Connection: close\r\n\r\n".encode())
            assert status(answer) == 200


def test_who_speaks_without_tls_to_tls_gets_nothing_and_does_no_harm(session: SessionFolder, tmp_path: Path) -> None:
    with served(session.path.parent, tmp_path, address=Address("127.0.0.1", 0, *certify(tmp_path))) as running:
        assert running.raw(f"GET /?token={TOKEN} HTTP/1.1\r\n{HOST}\r\n".encode()) == b""
        assert running.reviewer.get("/api/sessions").status_code == 200


# --- what is left behind --------------------------------------------------------------------------------------------


def test_no_log_has_a_token_a_code_or_a_path(
    session: SessionFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither of who was let in nor of who was not, nor of what made no sense."""
    caplog.set_level(logging.INFO)
    with served(session.path.parent, tmp_path / "models") as running:
        running.reviewer.get(f"/session/{session.name}?token={TOKEN}")
        running.stranger.get(f"/session/{session.name}?token={TOKEN}x")
        running.reviewer.get(f"/api/sessions/{session.name}/clips/1")
        running.label(session.name, 1, "low", "a request of mine", annotator="Anna Smith")
        running.raw(f"GET /session/{session.name} nonsense\r\n\r\n".encode())
        upgrade = "Upgrade: h2c\r\nConnection: Upgrade, close\r\n"
        running.raw(f"GET /session/{session.name} HTTP/1.1\r\n{HOST}{upgrade}\r\n".encode())
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    for said in ("\n".join(ours), *capfd.readouterr()):
        assert TOKEN not in said
        assert "P017" not in said
        assert "Anna" not in said


FAILS_HALFWAY = """
import asyncio, socket
from fastapi import FastAPI
from starlette.responses import StreamingResponse
from mmal_ros.discretion import log_discreetly
from mmal_ros.review.server import Address, open_socket, serving

def halfway():
    yield b"half of it"
    raise OSError("/nowhere/2026-11-20_P017_01/clips/1.mp4 is gone")

log_discreetly()
app = FastAPI()
app.state.ending = asyncio.Event()
app.get("/")(lambda: StreamingResponse(halfway()))
address = Address(port=0)
with open_socket(address) as bound, serving(app, bound, address):
    with socket.create_connection(bound.getsockname(), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n")
        while connection.recv(65536):
            pass
"""


def test_what_fails_after_an_answer_has_begun_is_logged_without_a_code() -> None:
    """By uvicorn then, and no longer by our own handlers."""
    run = subprocess.run([sys.executable, "-c", FAILS_HALFWAY], capture_output=True, text=True, timeout=60, check=True)
    assert "Exception in ASGI application" in run.stderr
    assert "2026-11-20_…_01" in run.stderr
    assert "P017" not in run.stderr


def test_the_token_is_not_handed_on(server: Served) -> None:
    """The page that is shown has no token in its address, and tells no other page its address."""
    answer = server.stranger.get(f"/?token={TOKEN}")
    server.stranger.cookies.clear()
    assert TOKEN not in str(answer.url)
    assert TOKEN not in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert all(step.headers["cache-control"] == "no-store" for step in (*answer.history, answer))
