"""What other users of a computer could read or write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_to_others(folder: Path) -> list[str]:
    """Everything below a folder, hidden files too, that has a right for somebody else than its owner."""
    return [
        f"{path.relative_to(folder)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]


@contextmanager
def careless() -> Iterator[None]:
    """A process whose umask takes no right from anybody."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)
