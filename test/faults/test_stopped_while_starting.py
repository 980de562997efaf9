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
from rigs.ctrl_c import hear_ctrl_c
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


def own_words(log: Path) -> str:
    """Without what the interpreter tells of its imports."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(line for line in lines if not line.startswith(("#", "import ", "Processing ", "Adding ")))


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
        assert process.wait(60) == INTERRUPTED, own_words(log)
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


INTERRUPTED_IMPORT = """
import os, signal, time
def interrupted_import():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    except KeyboardInterrupt:  # as the C code of numpy does
        raise ImportError("numpy.core.multiarray failed to import")
"""
OF_A_COMMAND = """
import sys, types, typer
from mmal_ros.cli.errors import fail
sys.argv = ["mmal"]
app = typer.Typer()
@app.command()
def command():
    try:
        interrupted_import()
    except ImportError as error:
        {consequence}
sys.modules["mmal_ros.cli.app"] = types.SimpleNamespace(app=app)
from mmal_ros.cli.main import main
main()
"""
OF_A_NODE = """
from mmal_ros.nodes.e4_node import E4Node
from mmal_ros.nodes.node_process import spin
class Interrupted(E4Node):
    def {when}:
        interrupted_import()
def e4_node():
    return Interrupted
spin(e4_node)
"""


def ended(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", INTERRUPTED_IMPORT + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("consequence", ["raise", "fail('microphone_node did not start')"])
def test_a_command_whose_library_makes_an_error_of_the_interrupt_is_interrupted(consequence):
    run = ended(OF_A_COMMAND.format(consequence=consequence))
    assert (run.returncode, run.stdout) == (INTERRUPTED, "")
    assert run.stderr.startswith("mmal: stopped; meanwhile: ")
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("when", ["__init__(self)", "on_configure(self, state)"])
def test_a_node_whose_library_makes_an_error_of_the_interrupt_ends(when):
    run = ended(OF_A_NODE.format(when=when), "--ros-args", "-p", "activates_itself:=true", "-p", "source:=synthetic")
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
