"""`mmal review` as somebody types it: the link, the browser, the end."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

MMAL = Path(sys.executable).parent / "mmal"
WAIT_S = 40.0
INTERRUPTED = 130

BROWSER = """#!{python}
import os, sys, time
from urllib.parse import urlsplit, unquote
door = unquote(urlsplit(sys.argv[1]).path)
with open("{seen}", "w") as seen:
    print(sys.argv[1], oct(os.stat(door).st_mode & 0o777), open(door).read(), file=seen)
os.rename("{seen}", "{seen}.txt")
"""


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A running command and the lines it has printed so far; killed at the end if it is still there."""
    command = [str(MMAL), "review", "--port", "0", *arguments]
    clean: Mapping[str, str] = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**clean, **environment}
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


def link_in(lines: list[str]) -> str:
    deadline = time.monotonic() + WAIT_S
    while not (found := re.search(r"http\S+", " ".join(lines))):
        assert time.monotonic() < deadline, lines
        time.sleep(0.05)
    return found[0]


def get(link: str) -> httpx.Response:
    """Open it, as soon as the server answers."""
    deadline = time.monotonic() + WAIT_S
    with httpx.Client(follow_redirects=True, trust_env=False) as client:
        while True:
            try:
                return client.get(link)
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_printed_link_opens_the_session_that_was_named(session, end):
    with started(session.name, "--sessions", str(session.path.parent), "--no-browser") as (process, lines):
        link = link_in(lines)
        assert link.startswith("http://127.0.0.1:")
        assert f"/session/{session.name}?token=" in link
        answer = get(link)
        assert (answer.status_code, answer.url.path) == (200, f"/session/{session.name}")
        process.send_signal(end)
        assert process.wait(WAIT_S) == INTERRUPTED
    assert "Traceback" not in "".join(lines)
    assert "GET" not in "".join(lines)  # no log of who looked at what


def test_a_page_that_listens_does_not_keep_the_server_from_ending(session):
    """The stream of the live page has no end of its own."""
    with started("--sessions", str(session.path.parent), "--no-browser", "--live") as (process, lines):
        link = link_in(lines)
        with httpx.Client(follow_redirects=True, trust_env=False, timeout=WAIT_S) as client:
            get(link)
            client.get(link)
            with client.stream("GET", link.partition("/live")[0] + "/api/live") as stream:
                events = stream.iter_lines()
                assert next(events).startswith("data: {")
                process.send_signal(signal.SIGINT)
                assert process.wait(WAIT_S) == INTERRUPTED
                assert all(not line or line.startswith("data: ") for line in events)  # it ended as a stream should
    assert "Traceback" not in "".join(lines)


def test_the_browser_gets_the_link_without_anybody_else_seeing_it(session, tmp_path):
    """Everybody on a computer can read the arguments of its processes."""
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(BROWSER.format(python=sys.executable, seen=seen))
    browser.chmod(0o700)
    environment = {"BROWSER": f"{browser} %s", "DISPLAY": ":99", "MMAL_HOME": str(tmp_path / "home")}
    with started("--sessions", str(session.path.parent), **environment) as (process, lines):
        link = link_in(lines)
        deadline = time.monotonic() + WAIT_S
        while not (told := seen.with_suffix(".txt")).exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        argument, mode, content = told.read_text().split(" ", 2)
        token = link.partition("token=")[2]
        assert token not in argument
        assert mode == "0o600"
        assert link in content
        door = tmp_path / "home" / Path(argument).name
        assert door.exists()
        process.send_signal(signal.SIGINT)
        process.wait(WAIT_S)
    assert not door.exists()
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_sessions_of_two_folders_are_refused(session, tmp_path):
    other = tmp_path / "elsewhere" / "other"
    other.mkdir(parents=True)
    (other / "session.json").write_bytes((session.path / "session.json").read_bytes())
    with started(str(session.path), str(other)) as (process, lines):
        assert process.wait(WAIT_S) == 2
        time.sleep(0.1)
    assert "different folders" in "".join(lines)
