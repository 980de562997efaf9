"""Ctrl-C for a program under test, wherever the tests run."""

from __future__ import annotations

import signal


def hear_ctrl_c() -> None:
    """As `preexec_fn`: whoever runs the tests in the background has SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
