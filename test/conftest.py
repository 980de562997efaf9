"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Nodes of these tests, in this and in other processes, hear each other quickly and nobody else's at all.
os.environ["ROS_DOMAIN_ID"] = str(os.getpid() % 200 + 1)
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
