"""The end of a process, also where a library has none."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITH_A_LIBRARY_THAT_NEVER_ENDS = """
import ctypes, sys
from mmal_ros import stopping
stopping.LEAVE_WITHIN_S = 1.0
class Joins:
    def __del__(self, wait=ctypes.PyDLL(None).pause):  # in C, and it lets nobody else run Python
        wait()
forever = Joins()
forever.itself = forever
if sys.argv[1] == "leaves":
    stopping.leave_soon()
print("all is written", flush=True)
"""


def ended(how: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITH_A_LIBRARY_THAT_NEVER_ENDS, how]
    return subprocess.run(command, timeout=timeout_s, capture_output=True, text=True, check=False)


def test_a_process_whose_library_does_not_end_ends_all_the_same() -> None:
    run = ended("leaves", 30)
    assert (run.returncode, run.stdout, run.stderr) == (1, "all is written\n", "")
    with pytest.raises(subprocess.TimeoutExpired):  # what it is good for
        ended("stays", 4)
