"""Somebody presses Ctrl-C, or the system ends everything, while a command is still starting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mmal_ros.session.folder import sessions_in
from rigs.ros import wait_until

INTERRUPTED = 130
MMAL = [sys.executable, "-c", "from mmal_ros.cli.main import main; main()"]
SYNTHETIC = [part for sensor in ("camera", "microphone", "wristband") for part in (f"--{sensor}", "synthetic")]
COMMANDS = {
    "run": ["run", *SYNTHETIC, "--record", "P017", "--json"],
    "demo": ["demo", "--no-browser"],
    "review": ["review", "--port", "0", "--no-browser"],
    "train": ["train", "cohort", "--output", "models/x/1"],
}


STARTS = [("run", 0.3), ("run", 3.0), ("demo", 1.0), ("review", 0.6), ("train", 1.5)]
"""So many seconds after our own code began."""


def hear_ctrl_c() -> None:
    """Whoever runs the tests in the background has SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def stopped(home: Path, command: str, after_s: float, how: signal.Signals) -> tuple[str, list[psutil.Process]]:
    """What a command said that was stopped so long after our own code began, and which of its processes are left."""
    environment = {**os.environ, "MMAL_HOME": str(home), "PYTHONVERBOSE": "1"}
    log = home / "said.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [*MMAL, *COMMANDS[command]],
            cwd=home,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=said,
            preexec_fn=hear_ctrl_c,
        )
    try:
        wait_until(lambda: "import 'typer'" in log.read_text(errors="replace"), 30)  # the interpreter tells
        time.sleep(after_s)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        assert process.wait(60) == INTERRUPTED, log.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()
    return log.read_text(errors="replace"), psutil.wait_procs(children, timeout=10)[1]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("command", "after_s"), STARTS)
def test_a_command_that_is_stopped_while_it_starts_leaves_nothing(tmp_path, command, after_s, how):
    said, left = stopped(tmp_path, command, after_s, how)
    assert "Traceback" not in said, said[-2000:]
    assert left == []
    for session in sessions_in(tmp_path / "sessions"):  # if it had begun, it is whole
        assert session.card().end is not None
