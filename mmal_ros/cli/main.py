"""The program `mmal`: it can be stopped from its first moment, also while libraries are imported for seconds."""

from __future__ import annotations

import sys
from contextlib import suppress

from mmal_ros.discretion import log_discreetly
from mmal_ros.files import keep_private
from mmal_ros.stopping import heed_signals, leave_soon, told_to_stop

INTERRUPTED = 130


def main() -> None:
    """Run a command; Ctrl-C and SIGTERM end it with exit code 130, without a traceback and whenever they come.

    Nobody else can read what it writes.
    """
    keep_private()
    log_discreetly()
    heed_signals()
    try:
        from mmal_ros.cli.app import app

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not told_to_stop():
            raise
        with suppress(OSError):  # its terminal may be gone
            sys.stderr.write(f"mmal: stopped; meanwhile: {type(error).__name__}: {error}\n")  # perhaps only of that
        sys.exit(INTERRUPTED)
    finally:
        leave_soon()
