"""A disk that fills up: a real file system in memory, mounted for a test, whose size can be changed meanwhile.

Mounting needs root, or sudo without a password; where neither is there the test is skipped with that reason.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")
ROOMY = 1_200_000_000
"""A session wants 1 GB to start; what is not used takes no memory."""
PAGE = 4096
ATTEMPTS = 50


class SmallDisk:
    """A tmpfs; the kernel says how much of it is free, and refuses what does not fit."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def free(self) -> int:
        """Bytes."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def leave(self, free: int) -> None:
        """Let so many bytes be free, as when somebody else had taken the rest."""
        for _ in range(ATTEMPTS):
            found = os.statvfs(self.path)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            with suppress(subprocess.CalledProcessError):  # somebody has written more in between
                _run("mount", "-o", f"remount,size={(used + free) // PAGE * PAGE}", str(self.path))
                return
        raise AssertionError(f"{self.path} is written to faster than it can be filled")

    def fill(self) -> None:
        """Leave nothing, whatever others write or remove meanwhile."""
        while self.free:
            self.leave(0)

    def empty(self) -> None:
        """Somebody has cleared up."""
        self.leave(ROOMY)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mount one on a new folder; gone at the end with all that is in it."""
    path.mkdir()
    owner = f"uid={os.geteuid()},gid={os.getegid()},mode=700"
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={ROOMY},{owner}", "small-disk", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {getattr(error, 'stderr', '') or error}")
    try:
        yield SmallDisk(path)
    finally:
        _run("umount", "--lazy", str(path))  # also where a process that was killed is not gone yet


def _run(*command: str) -> None:
    subprocess.run((*AS_ROOT, *command), check=True, capture_output=True, text=True, timeout=20)
