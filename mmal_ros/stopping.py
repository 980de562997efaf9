"""Being told to stop, by Ctrl-C, SIGTERM or a terminal that goes away, at any moment.

KeyboardInterrupt is not enough: a compiled library whose import is interrupted raises an ImportError instead, and ROS
takes that for a transition that failed. So it is kept that somebody said so.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LEAVE_WITHIN_S = 10.0
ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_came: list[int] = []


def heed_signals() -> None:
    """From now on SIGTERM is as Ctrl-C, and so is the end of the terminal.

    The two others stay ignored where they are, as by what a shell runs in the background, or `nohup`.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Nobody's impatience cuts this short: a session that ends still writes its last clips.

    For what ends by itself; in other threads than the main one, where no signal arrives, it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ALL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def leave_soon() -> None:
    """All is done and written: if libraries cannot end within `LEAVE_WITHIN_S`, the process ends with exit code 1.

    A thread of Fast DDS's shared memory may wait by the wall clock, for as long as that was set back.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)  # a file of Python's would be closed while Python ends
    faulthandler.dump_traceback_later(LEAVE_WITHIN_S, exit=True, file=nowhere)


def told_to_stop() -> bool:
    """Whether one of them has come."""
    return bool(_came)


def end_if_told() -> None:
    """Raises KeyboardInterrupt if one has come, for those who catch whatever a library makes of it."""
    if _came:
        raise KeyboardInterrupt


def _interrupt(number: int, _: FrameType | None) -> None:
    _came.append(number)
    raise KeyboardInterrupt
