"""Files that appear as a whole: a reader, or a power cut, sees the old content or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of `path` when everything went well; when not, it is as it was."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")  # two processes may come to write the same file
    try:
        yield scratch
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by this text, as a whole."""
    with replacing(path) as scratch:
        scratch.write_text(text)
