"""A disk whose every byte can be looked at: ext4 in a file, mounted for a test; that needs root, see `small_disk`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rigs.small_disk import AS_ROOT

SIZE = 64 << 20


class ImageDisk:
    """The file, and where it is mounted."""

    def __init__(self, image: Path, path: Path) -> None:
        self.image = image
        self.path = path

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """As people use it; everything is in the file when this ends."""
        self.path.mkdir(exist_ok=True)
        _run(*AS_ROOT, "mount", "-o", "loop", str(self.image), str(self.path))
        try:
            _run(*AS_ROOT, "chown", str(os.geteuid()), str(self.path))
            yield self.path
        finally:
            _run(*AS_ROOT, "umount", str(self.path))

    def trim(self) -> None:
        """Tell the disk which of its blocks are free, as a weekly `fstrim` does."""
        with self.mounted() as path:
            _run(*AS_ROOT, "fstrim", str(path))

    def holds(self, content: bytes) -> bool:
        """Whether these bytes are anywhere in the raw image."""
        return content in self.image.read_bytes()


def image_disk(folder: Path) -> ImageDisk:
    """Make one; skips the test where it cannot be mounted."""
    disk = ImageDisk(folder / "disk.img", folder / "disk")
    disk.image.touch()
    os.truncate(disk.image, SIZE)
    try:
        _run("/usr/sbin/mkfs.ext4", "-q", str(disk.image))
        with disk.mounted():
            return disk
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no image of a disk can be mounted here: {getattr(error, 'stderr', '') or error}")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
