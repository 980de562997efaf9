"""Who gets in, and what nobody gets: against the server as it runs, with requests that no browser would send."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmal_ros.review import bodies
from mmal_ros.review import server as review_server
from mmal_ros.review.app import create_app
from mmal_ros.review.security import Access, new_token
from mmal_ros.review.server import Address, AddressError, open_socket
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.store import SessionStore
from rigs.certificate import certify
from rigs.review import TOKEN, Served, served
from rigs.sessions import make_session

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("sessions"), minutes=0.5, flags=2)


@pytest.fixture(scope="module")
def server(session, tmp_path_factory) -> Iterator[Served]:
    with served(session.path.parent, tmp_path_factory.mktemp("models")) as running:
        yield running


def places(session: SessionFolder) -> list[tuple[str, str]]:
    """Every route there is, with real names filled in."""
    app = create_app(session.path.parent, "token")
    window = next(session.clips.iterdir()).stem
    filled = {"{name}": session.name, "{window_id}": window, "{code}": "P017", "{path:path}": "base.css"}
    found = [("GET", "/"), ("GET", "/live"), ("GET", f"/session/{session.name}"), ("GET", "/static/base.css")]
    for path, methods in app.openapi()["paths"].items():
        for place, real in filled.items():
            path = path.replace(place, real)
        found += [(method.upper(), path) for method in methods]
    return [*found, ("GET", f"/session/{session.name}/report"), ("GET", "/not/there"), ("PUT", "/"), ("OPTIONS", "/")]


def test_without_the_token_nothing_is_there(server, session):
    for method, place in places(session):
        answer = server.stranger.request(method, place, headers={"Cookie": "mmal-000000000000=x; other=y"})
        assert answer.status_code == 401, (method, place)
        assert "mmal review" in answer.text
        assert session.name not in answer.text


def test_every_answer_has_the_headers(server, session):
    for client in (server.stranger, server.reviewer):
        for method, place in places(session):
            if method == "GET" and place != "/api/live":
                answer = client.request(method, place)
                assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS, place
                policy = answer.headers["content-security-policy"]
                assert policy.startswith(("default-src 'self'", "default-src 'none'"))
                assert "unsafe" not in policy


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü", "%00"])
def test_another_token_lets_nobody_in(server, token):
    assert server.stranger.get(f"/?token={token}").status_code == 401


@pytest.mark.parametrize("value", ["", "x", TOKEN[:-1], TOKEN + "x", f'"{TOKEN}x"', "%00"])
def test_a_cookie_with_another_value_lets_nobody_in(server, value):
    assert server.stranger.get("/", headers={"Cookie": f"{Access(TOKEN).cookie}={value}"}).status_code == 401


def test_the_link_gives_a_cookie_that_scripts_and_other_pages_do_not_get(server):
    answer = server.stranger.get(f"/live?token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/live")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie  # there is no TLS here
    server.stranger.cookies.clear()


def test_who_comes_from_a_page_elsewhere_goes_on_from_a_page_of_ours(server):
    answer = server.stranger.get(f"/?token={TOKEN}", headers={"Sec-Fetch-Site": "cross-site"}, follow_redirects=False)
    assert answer.status_code == 200
    assert 'content="0;url=/"' in answer.text
    assert TOKEN not in answer.text
    server.stranger.cookies.clear()


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "///evil.example", "/%2Fevil.example"])
def test_the_link_leads_nowhere_else(server, path):
    raw = server.raw(f"GET {path}?token={TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    location = raw.lower().partition(b"location: ")[2].partition(b"\r\n")[0]
    assert location.startswith(b"/evil.example")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "", "a:b:c"]
)
def test_another_name_for_this_computer_is_refused(server, host):
    cookie = f"{Access(TOKEN).cookie}={TOKEN}"
    raw = server.raw(f"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode())
    assert raw.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8765", "127.0.0.1", "[::1]:8765", "192.168.1.7"])
def test_its_own_names_are_taken(server, host):
    assert server.reviewer.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://{host}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://{host}", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_page_cannot_label(server, session, headers):
    window = int(next(session.clips.iterdir()).stem)
    host = server.address.removeprefix("http://")
    answer = server.reviewer.post(
        f"/api/sessions/{session.name}/labels",
        json={"window_id": window, "value": "low", "annotator": "C1", "request": "from elsewhere"},
        headers={name: value.format(host=host) for name, value in headers.items()},
    )
    assert answer.status_code == 403
    with SessionStore(session.labels) as store:
        assert store.labels() == []


def test_another_page_cannot_read(server):
    assert server.reviewer.get("/api/sessions", headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert server.reviewer.get("/api/sessions", headers={"Origin": "http://evil.example"}).status_code == 403


def test_our_own_page_can(server):
    headers = {"Origin": server.address, "Sec-Fetch-Site": "same-origin"}
    assert server.reviewer.get("/api/sessions", headers=headers).status_code == 200


WAYS_OUT = [
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static/..%2fapp.py",
    "/static//etc/passwd",
    "/session/..",
    "/session/%2e%2e",
    "/api/sessions/..",
    "/api/sessions/%2e%2e/timeline",
    "/api/sessions/..%2f..%2fetc/timeline",
    "/api/sessions/.hidden",
    "/api/sessions/%00",
    "/api/sessions/{name}/clips/..%2f..%2fsession.json",
    "/api/sessions/{name}/clips/-1",
    "/api/sessions/{name}/clips/9223372036854775808",
    "/api/sessions/{name}/clips/1e9",
    "/session/{name}/../../etc/passwd",
    "/api/participants/../personalise",
    "/api/participants/%2e%2e/personalise",
    "/api/participants/Anna%20Smith/personalise",
    "/static/",
    "/static",
    "/static/icons",
    "/docs",
    "/redoc",
    "/openapi.json",
]


@pytest.mark.parametrize("path", WAYS_OUT)
def test_no_path_leads_out_and_no_folder_is_listed(server, session, path):
    cookie = f"{Access(TOKEN).cookie}={TOKEN}"
    path = path.format(name=session.name)
    raw = server.raw(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode()
    )
    assert raw.split()[1] in (b"404", b"422"), raw[:200]
    assert b"root:" not in raw
    assert b"import " not in raw


def test_a_link_in_the_clips_is_not_followed(tmp_path, session):
    (tmp_path / "sessions").mkdir()
    copy = SessionFolder(Path(shutil.copytree(session.path, tmp_path / "sessions" / session.name)))
    clip = next(copy.clips.iterdir())
    clip.unlink()
    clip.symlink_to("/etc/passwd")
    with served(copy.path.parent, tmp_path) as running:
        assert running.reviewer.get(f"/api/sessions/{copy.name}/clips/{clip.stem}").status_code == 404


@pytest.mark.parametrize("name", ["%2e%2e", ".hidden", "."])
def test_a_session_beside_the_folder_of_sessions_is_not_reached(tmp_path, session, name):
    """Also where there really is one."""
    root = tmp_path / "above" / "sessions"
    shutil.copytree(session.path, root / ".hidden")
    for place in (root, root.parent):
        shutil.copy(session.path / "session.json", place)
    with served(root, tmp_path) as running:
        cookie = f"{Access(TOKEN).cookie}={TOKEN}"
        request = (
            f"GET /api/sessions/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        )
        assert running.raw(request.encode()).startswith(b"HTTP/1.1 404")


@given(junk=st.text(max_size=40))
def test_no_name_of_a_session_breaks_it(server, junk):
    answer = server.reviewer.get(f"/api/sessions/{quote(junk or '-', safe='')}")
    assert answer.status_code in (200, 404) if "." in junk else answer.status_code == 404  # httpx itself goes up for ..


def test_a_large_body_is_refused_before_it_is_read(server, session):
    answer = server.label(session.name, 1, "low", "large one", note="x" * bodies.LARGEST_BYTES)
    assert answer.status_code == 413

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    assert server.reviewer.post(f"/api/sessions/{session.name}/labels", content=pieces()).status_code == 413


def test_a_body_that_says_it_is_large_is_not_waited_for(server, session):
    cookie = f"{Access(TOKEN).cookie}={TOKEN}"
    head = f"POST /api/sessions/{session.name}/labels HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n"
    assert server.raw(f"{head}Content-Length: {10**9}\r\n\r\n".encode()).startswith(b"HTTP/1.1 413")


def test_a_slow_body_is_given_up(server, session, monkeypatch):
    monkeypatch.setattr(bodies, "SLOWEST_S", 0.2)
    cookie = f"{Access(TOKEN).cookie}={TOKEN}"
    head = f"POST /api/sessions/{session.name}/labels HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n"
    assert server.raw(f"{head}Content-Length: 100\r\n\r\n{{".encode()).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: 127"])
def test_who_connects_and_does_not_ask_is_hung_up_on(session, tmp_path, monkeypatch, beginning):
    monkeypatch.setattr(review_server, "SLOWEST_REQUEST_S", 0.2)
    with served(session.path.parent, tmp_path) as running:
        assert running.raw(beginning) == b""
        assert running.reviewer.get("/").status_code == 200


class BrokenGraph:
    """What no graph does: it raises, as code with a fault would."""

    def flag(self, reason: str) -> tuple[bool, str]:
        raise RuntimeError("secret of the server")


def test_a_fault_of_the_server_tells_its_terminal_and_not_the_page(session, tmp_path, caplog):
    with served(session.path.parent, tmp_path, BrokenGraph()) as running:
        answer = running.reviewer.post("/api/live/flag", json={})
    assert answer.status_code == 500
    assert set(answer.json()) == {"detail"}
    assert "secret" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    assert "secret" in caplog.text


def test_under_tls_the_cookie_is_for_tls_only(session, tmp_path):
    certificate, key = certify(tmp_path)
    with served(session.path.parent, tmp_path, address=Address(port=0, certificate=certificate, key=key)) as running:
        assert running.reviewer.get("/api/sessions").status_code == 200
        answer = running.stranger.get(f"/?token={TOKEN}", follow_redirects=False)
    assert "secure" in answer.headers["set-cookie"].lower()


def test_others_are_let_in_only_with_tls_or_on_demand(tmp_path):
    for host in ("0.0.0.0", "::", "192.168.1.7", "clinic.example"):
        with pytest.raises(AddressError, match="--tls-cert"):
            Address(host).check()
        Address(host, insecure=True).check()
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        Address(host).check()
    certificate, key = certify(tmp_path)
    Address("0.0.0.0", certificate=certificate, key=key).check()
    with pytest.raises(AddressError, match="both"):
        Address("0.0.0.0", certificate=certificate).check()
    with pytest.raises(AddressError, match="not there"):
        Address(certificate=certificate, key=tmp_path / "none.pem").check()


def test_names_that_are_let_in():
    assert Address().names == {"localhost"}
    assert {"localhost", "clinic.example"} <= Address("Clinic.example", insecure=True).names
    assert socket.gethostname().lower() in Address("0.0.0.0", insecure=True).names


def test_a_port_that_is_taken_is_left_to_whom_it_is():
    with open_socket(Address(port=0)) as first:
        first.listen()
        port = first.getsockname()[1]
        with open_socket(Address(port=port)) as second:
            assert port < second.getsockname()[1] < port + 20


def test_an_address_that_is_not_ours_is_a_clear_error():
    with pytest.raises(AddressError, match="cannot be served"):
        open_socket(Address("192.0.2.1", port=0))  # RFC 5737: nobody's


def test_tokens_differ_are_long_and_do_not_show():
    one, other = new_token(), new_token()
    assert one != other
    assert len(one) >= 43  # 256 bits
    assert one not in repr(Access(one))
    assert Access(one).cookie != Access(other).cookie
