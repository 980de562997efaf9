"""Output of native libraries, which do not ask Python where to write, sent somewhere else for a while."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

STDOUT, STDERR = 1, 2


@contextmanager
def output_into(file: IO[Any], *descriptors: int) -> Iterator[None]:
    """What goes to these file descriptors goes into the file, whoever writes it."""
    sys.stdout.flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in descriptors}
    for descriptor in descriptors:
        os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        sys.stdout.flush()
        for descriptor, before in saved.items():
            os.dup2(before, descriptor)
            os.close(before)
