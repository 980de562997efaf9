"""A wall clock that somebody sets while processes run, theirs only; the steady clock goes on, as it does in reality.

libfaketime cannot be used: with a steady clock that is left alone its `clock_nanosleep` fails, and with it Python's
`sleep`.
"""

from __future__ import annotations

import mmap
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class SteppedClock:
    """Processes that get `environment` see the machine's time and the offset."""

    def __init__(self, folder: Path) -> None:
        library, file = folder / "stepped_clock.so", folder / "offset"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", SOURCE, "-o", library, "-ldl"], check=True)
        file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._offset = mmap.mmap(opened.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(file)}

    def set(self, offset_s: float) -> None:
        """In one step, for all of them."""
        self._offset[:] = round(offset_s * 1e9).to_bytes(8, "little", signed=True)
