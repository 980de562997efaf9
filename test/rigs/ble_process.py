"""How the processes of the virtual Bluetooth world are spoken to: a command per line in, an answer per line out."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

TEST_FOLDER = Path(__file__).resolve().parent.parent
Answer = Callable[..., object]


async def serve(commands: Mapping[str, Answer]) -> None:
    """Say that we are ready, then answer until nobody asks any more: when the parent dies, so do we."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while line := await reader.readline():
        command, *arguments = line.decode().split()
        answer = commands[command](*arguments)
        print(await answer if asyncio.iscoroutine(answer) else answer, flush=True)


class RigProcess:
    """A module of `rigs` that runs as a process of its own and answers commands."""

    def __init__(self, module: str, *arguments: str) -> None:
        python_path = os.pathsep.join([str(TEST_FOLDER), str(TEST_FOLDER.parent)])
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"rigs.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": python_path},
        )

    def wait_until_ready(self) -> None:
        self._read()

    def ask(self, *command: object) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(str(word) for word in command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def freeze(self) -> None:
        """It hangs: alive, but answers nothing any more."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """At once, as when a battery is empty."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"rigs.{self._module} ended with exit code {self._process.wait()}; its error is above")
        return line.strip()
