"""What tests of faults share with those of the pages: a browser, and a session on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from mmal_ros.session.folder import SessionFolder
from rigs.browser import chromium
from rigs.sessions import make_session
from rigs.small_disk import SmallDisk, small_disk


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("recorded"), minutes=1, flags=10)
