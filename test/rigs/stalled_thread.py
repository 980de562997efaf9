"""A thread of this process that stops where it stands, as one does that hangs inside a library."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LIBC = ctypes.CDLL(None)
LIBC.signal.argtypes, LIBC.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
STAND, GO_ON = signal.SIGUSR1, signal.SIGUSR2
RETRY_S = 0.05


@contextmanager
def stalled(thread: threading.Thread) -> Iterator[Callable[[], None]]:
    """The thread runs nothing of its own from now on; calling what is yielded lets it go on, and waits for its end.

    Its signal handler is libc's `pause`, which returns only after another signal: Python is not asked, so this also
    stops a thread that is far away from Python.
    """
    pause, wake = (ctypes.cast(call, ctypes.c_void_p) for call in (LIBC.pause, LIBC.getpid))  # getpid: does nothing
    before = {number: LIBC.signal(number, handler) for number, handler in ((STAND, pause), (GO_ON, wake))}

    def release() -> None:
        while thread.is_alive():
            signal.pthread_kill(thread.ident, GO_ON)
            thread.join(RETRY_S)

    signal.pthread_kill(thread.ident, STAND)
    try:
        yield release
    finally:
        release()
        for number, handler in before.items():
            LIBC.signal(number, handler)
