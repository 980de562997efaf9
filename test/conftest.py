"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from zlib import crc32

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAST_DOMAIN = 101
"""Ports of a higher one are also given to whoever asks for any."""
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
RUN = crc32(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())).encode())
FILES = count(RUN)

# Nodes of these tests, in this and in other processes, hear each other quickly and nobody else's at all.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["COLUMNS"] = "120"  # of what commands print, wherever the tests run
os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(ROOT / "test/rigs/fast_discovery.xml"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings made by other people; they may not be redistributed, so they live beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real recordings (../shared/data) are not on this machine")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _own_domain() -> Iterator[None]:
    """For each file of a worker: nodes that another has killed stay for seconds, and would be asked for answers."""
    with pytest.MonkeyPatch.context() as patch:
        domain = (next(FILES) * WORKERS + WORKER) % (LAST_DOMAIN // WORKERS * WORKERS)
        patch.setenv("ROS_DOMAIN_ID", str(domain + 1))
        yield
