"""What `ros2 launch` does with our launch file, done with real processes: start them, and again when they die."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from rigs.launch_stand_in import Launch

LAUNCH = Path(__file__).resolve().parent.parent.parent / "launch/engagement.launch.py"
STOP_TIMEOUT_S = 20.0


class Launched:
    """A running launch; a context manager that leaves no process behind."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None, **arguments: str) -> None:
        """`folder` is for the logs; arguments as one gives them to `ros2 launch`."""
        self._environment = environment or {}
        self._launch = Launch(LAUNCH, arguments)
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self._supervisors = [
            threading.Thread(target=self._supervise, args=[executable], daemon=True)
            for executable in self._launch.nodes
        ]

    def __enter__(self) -> Self:
        for executable in self._launch.nodes:
            self._start(executable)
        for supervisor in self._supervisors:
            supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
        for supervisor in self._supervisors:
            supervisor.join(STOP_TIMEOUT_S)

    @property
    def executables(self) -> list[str]:
        return list(self._launch.nodes)

    def respawn_delay_s(self, executable: str) -> float:
        """How long launch waits before it starts one again."""
        return float(self._launch.nodes[executable].respawn_delay)

    def pid(self, executable: str) -> int:
        return self._processes[executable].pid

    def kill(self, executable: str) -> None:
        """SIGKILL: no farewell."""
        self._processes[executable].kill()

    def log(self, executable: str) -> str:
        """What the node has said so far, in all its lives."""
        return self._log(executable).read_text()

    def _log(self, executable: str) -> Path:
        return self._folder / f"{executable}.log"

    def _start(self, executable: str) -> None:
        with self._log(executable).open("ab") as log:
            self._processes[executable] = subprocess.Popen(
                self._launch.command(executable),
                stderr=log,
                env=os.environ | self._launch.environment | self._environment,
            )

    def _supervise(self, executable: str) -> None:
        """launch's `respawn` and `respawn_delay`."""
        node = self._launch.nodes[executable]
        while True:
            self._processes[executable].wait()
            if not node.respawn or self._stopping.wait(node.respawn_delay):
                return
            self._start(executable)
