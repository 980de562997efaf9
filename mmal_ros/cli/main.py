"""The program `mmal`: it can be stopped from its first moment, also while libraries are imported for seconds."""

from __future__ import annotations

import signal
import sys

from mmal_ros.discretion import log_discreetly
from mmal_ros.files import keep_private

INTERRUPTED = 130


def main() -> None:
    """Run a command; Ctrl-C and SIGTERM end it with exit code 130, without a traceback and whenever they come.

    Nobody else can read what it writes.
    """
    keep_private()
    log_discreetly()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from mmal_ros.cli.app import app

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
