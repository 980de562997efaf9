"""What became of a provoked fault, for docs/reliability.md: kept in the file that MMAL_FAULT_LOG names, if it does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

POLL_S = 0.01


@dataclass(frozen=True)
class Outcome:
    """One provocation of one fault."""

    fault: str
    """What happens to somebody: the row of the table."""
    provoked: str
    """How it was really done."""
    detected_s: float | None = None
    """From the fault to the first sign of it on /diagnostics, in the estimates or to a person; None: no such thing."""
    recovered_s: float | None = None
    """From the end of the cause to all being well again; None: there is nothing to recover."""
    lost: str = ""
    """Data that is gone, counted; empty: none."""


def keep(outcome: Outcome) -> None:
    """Add a line to the log; repeated runs of one test are summarised by fault and provocation."""
    if path := os.environ.get("MMAL_FAULT_LOG"):
        with Path(path).open("a") as log:
            log.write(json.dumps(asdict(outcome)) + "\n")


def seconds_until(condition: Callable[[], object], timeout_s: float = 30.0) -> float:
    """Wait for something that happens in another thread or process; how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout_s, f"nothing happened within {timeout_s} s"
        time.sleep(POLL_S)
    return time.monotonic() - began
