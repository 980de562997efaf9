"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from zlib import crc32

import pytest

ROOT = Path(__file__).resolve().parent.parent

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
IN_TURN = 12
"""ROS domains of a worker; by the time that it comes to the first again, what was killed there is forgotten."""
LAST_DOMAIN = 76
"""The benchmarks have the next ones, and ports of those above 101 are also given to whoever asks for any."""
RUN = crc32(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())).encode())
FIRST_DOMAIN = 1 + RUN % max(LAST_DOMAIN // (WORKERS * IN_TURN), 1) * WORKERS * IN_TURN
FILES = count()

# Nodes of these tests, in this and in other processes, hear each other quickly and nobody else's at all.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["COLUMNS"] = "120"  # of what commands print, wherever the tests run
os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(ROOT / "test/rigs/fast_discovery.xml"))


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of a test comes into the folder of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMAL_HOME", str(tmp_path_factory.mktemp("home") / "mmal"))
        yield


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
        domain = FIRST_DOMAIN + WORKER % WORKERS + WORKERS * (next(FILES) % IN_TURN)
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        yield
