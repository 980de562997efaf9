"""Being told to stop, by Ctrl-C, SIGTERM or a terminal that goes away, at any moment.

KeyboardInterrupt is not enough: a compiled library whose import is interrupted raises an ImportError instead, and ROS
takes that for a transition that failed. So it is kept that somebody said so.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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
