"""A coder who labels while the review server is killed, again and again, at any moment."""

from __future__ import annotations

import multiprocessing
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from mmal_ros.review.app import create_app
from mmal_ros.review.security import Access
from mmal_ros.review.server import Address, open_socket, serve
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import LabelValue
from mmal_ros.session.store import SessionStore

TOKEN = "a-token-of-the-tests"
PATIENCE_S = 30.0
LONGEST_LIFE_S = 0.4
LONGEST_ANSWER_S = 0.03
"""About as long as it takes from a request to its answer, so that a kill meets every part of it."""
MOST_ANSWERS = 8
VALUES = tuple(LabelValue)


@dataclass
class Tally:
    """What the coder got to hear."""

    answers: int = 0
    repeated: int = 0
    """Of them, those that had been written, but whose first acknowledgement was lost in a kill."""


def serve_sessions(root: Path, port: Connection) -> None:
    """A process of its own: the server as `mmal review` runs it."""
    address = Address(port=0)
    with open_socket(address) as bound:
        port.send(bound.getsockname()[1])
        serve(create_app(root, TOKEN, models=root), bound, address)


class Lives:
    """Starts one server after the other; each is forked from a process that has loaded everything already."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["mmal_ros.review.app", "mmal_ros.review.server"])
        self._process: Any = None

    def begin(self) -> httpx.Client:
        """A client of a new server, which may not answer yet."""
        receiver, sender = self._context.Pipe(duplex=False)
        self._process = self._context.Process(target=serve_sessions, args=(self._root, sender), daemon=True)
        self._process.start()
        assert receiver.poll(PATIENCE_S), "the server did not start"
        place = f"http://127.0.0.1:{receiver.recv()}"
        client = httpx.Client(
            base_url=place, cookies={Access(TOKEN).cookie: TOKEN}, timeout=PATIENCE_S, trust_env=False
        )
        while not _answers(client):
            assert self._process.is_alive(), "the server did not start"
        return client

    def kill(self) -> None:
        """SIGKILL; harmless when it is dead."""
        self._process.kill()

    def end(self) -> None:
        """Wait until it is gone."""
        self._process.kill()
        self._process.join(PATIENCE_S)


def label_and_kill(session: SessionFolder, kills: int, seed: int = 0) -> Tally:
    """Label again and again, each label until it is acknowledged, while the server is killed `kills` times.

    It dies at any moment, or some milliseconds after a request was sent, or right after an acknowledgement.
    """
    windows = _windows(session)
    lives, dice, tally = Lives(session.path.parent), random.Random(seed), Tally()
    for life in range(kills + 1):
        client = lives.begin()
        try:
            if life == kills:  # the last one is not killed: what is open is answered
                assert _label(client, session, windows, tally)
            else:
                _until_killed(client, lives, session, windows, tally, dice, mode=life % 3)
        finally:
            client.close()
            lives.end()
    return tally


def check(session: SessionFolder, tally: Tally) -> None:
    """Assert that every acknowledged label is there, once, in order, and nothing else."""
    windows = _windows(session)
    with SessionStore(session.labels) as store:
        found = [(int(label.note), label.window_id, label.value) for label in store.labels()]
    expected = [(n, windows[n % len(windows)], VALUES[n % len(VALUES)]) for n in range(tally.answers)]
    assert found == expected


def _until_killed(
    client: httpx.Client,
    lives: Lives,
    session: SessionFolder,
    windows: Sequence[int],
    tally: Tally,
    dice: random.Random,
    mode: int,
) -> None:
    if mode == 0:
        threading.Timer(dice.uniform(0, LONGEST_LIFE_S), lives.kill).start()
    last, done = dice.randint(1, MOST_ANSWERS), 0
    while True:
        if mode == 1 and done == last:
            threading.Timer(dice.uniform(0, LONGEST_ANSWER_S), lives.kill).start()
        if not _label(client, session, windows, tally):
            return
        done += 1
        if mode == 2 and done == last:
            lives.kill()


def _label(client: httpx.Client, session: SessionFolder, windows: Sequence[int], tally: Tally) -> bool:
    """Whether the next label was acknowledged; one that was not is sent again with its request the next time."""
    number = tally.answers
    body = {
        "window_id": windows[number % len(windows)],
        "value": VALUES[number % len(VALUES)],
        "annotator": "C1",
        "note": str(number),
        "request": f"request {number}",
    }
    try:
        answer = client.post(f"/api/sessions/{session.name}/labels", json=body)
    except httpx.TransportError:
        return False
    assert answer.status_code in (200, 201), answer.text
    tally.answers += 1
    tally.repeated += answer.status_code == 200
    return True


def _windows(session: SessionFolder) -> list[int]:
    with SessionStore(session.labels) as store:
        return [flag.window_id for flag in store.flags()]


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/").status_code == 200
    except httpx.TransportError:
        return False
