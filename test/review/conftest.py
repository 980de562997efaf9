"""What tests of the pages share: one browser, a server for each test, somebody who visits it, a session on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from mmal_ros.session.folder import SessionFolder
from rigs.browser import NETWORK, ReviewServer, Visitor, chromium
from rigs.sessions import make_session


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def server(sessions: Path, tmp_path: Path) -> Iterator[ReviewServer]:
    started = ReviewServer(sessions, tmp_path / "models")
    yield started
    started.stop()


@pytest.fixture
def visitor(browser: Browser, server: ReviewServer) -> Iterator[Visitor]:
    somebody = Visitor(browser, server)
    yield somebody
    somebody.close()
    assert [words for words in somebody.wrong if NETWORK not in words] == []
    assert somebody.elsewhere == []


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("recorded"), minutes=1, flags=10)


@pytest.fixture
def session(sessions: Path, recorded: SessionFolder, tmp_path: Path) -> SessionFolder:
    """One of its own for each test; it appears at once, for the server looks into the folder meanwhile."""
    copy = Path(shutil.copytree(recorded.path, tmp_path / "copy"))
    sessions.mkdir(exist_ok=True)
    return SessionFolder(copy.rename(sessions / recorded.name))
