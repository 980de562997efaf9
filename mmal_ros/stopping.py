"""Being told to stop, by Ctrl-C or SIGTERM, at any moment.

KeyboardInterrupt is not enough: a compiled library whose import is interrupted raises an ImportError instead, and ROS
takes that for a transition that failed. So it is kept that somebody said so.
"""

from __future__ import annotations

import signal
from types import FrameType

_came: list[int] = []


def heed_signals() -> None:
    """From now on SIGTERM is as Ctrl-C, which stays ignored where it is, as by what a shell runs in the background."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


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
