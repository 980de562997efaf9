"""Personalising in a process of its own: `mmal personalise`, watched from here, and ended with the server."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-c", "from mmal_ros.cli.main import main; main()")
"""`mmal`, in this environment."""
LONGEST_S = 900.0
"""It takes seconds; what takes so long hangs."""
LONGEST_LINE = 1 << 16
CUT_OFF = "Personalising ended without a result; start it again, or see `mmal personalise --help`."
TOO_LONG = f"Personalising took longer than {LONGEST_S / 60:.0f} minutes and was ended; start it again."
log = logging.getLogger(__name__)


class State(StrEnum):
    """Of personalising for one participant."""

    IDLE = "idle"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class BusyError(Exception):
    """One at a time; the message says so."""


@dataclass
class Job:
    """How far it is, and what came of it."""

    state: State = State.IDLE
    done: int = 0
    of: int = 0
    message: str = ""
    result: dict[str, Any] | None = field(default=None)
    """As `mmal personalise --json` prints it, without `event`."""


class Personalisations:
    """One at a time: learning takes all of a small computer. What runs when the event loop ends is ended with it."""

    def __init__(self, sessions: Path, models: Path) -> None:
        self._folders = ("--sessions-dir", str(sessions), "--models", str(models))
        self._jobs: dict[str, Job] = {}
        self._task: asyncio.Task[None] | None = None

    def of(self, participant: str) -> Job:
        """The last one of a participant."""
        return self._jobs.get(participant, Job())

    def start(self, participant: str) -> Job:
        """Begin to learn from all labels of a participant; nothing is made live. Raises BusyError."""
        running = next((code for code, job in self._jobs.items() if job.state is State.RUNNING), None)
        if running == participant:
            return self._jobs[participant]
        if running is not None:
            raise BusyError(f"{running} is being personalised; try again in a moment.")
        job = self._jobs[participant] = Job(State.RUNNING, message="starting")
        self._task = asyncio.create_task(self._run(job, participant))
        return job

    async def _run(self, job: Job, participant: str) -> None:
        arguments = ("personalise", participant, *self._folders, "--no-switch", "--json")
        try:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, limit=LONGEST_LINE
            )
            try:
                async with asyncio.timeout(LONGEST_S):
                    _, complaint = await asyncio.gather(_follow(process, job), _last_line(process))
                    await process.wait()
            finally:
                await _end(process)
            job.message = complaint if job.result is None else job.result.get("reason", "")
            job.state = State.FAILED if job.result is None else State.DONE
        except TimeoutError:
            job.state, job.message = State.FAILED, TOO_LONG
        except Exception as error:  # no memory for a process, a line that is not ours: a job must end
            log.exception("personalising failed")
            job.state, job.message = State.FAILED, f"{CUT_OFF} ({type(error).__name__})"


async def _follow(process: Process, job: Job) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event.pop("event") == "result":
            job.result = event
        else:
            job.done, job.of, job.message = event["done"], event["of"], event["what"]


async def _last_line(process: Process) -> str:
    """Of what it complained about; that is its one clear sentence."""
    assert process.stderr is not None
    last = b""
    async for line in process.stderr:
        last = line.strip() or last
    return last.decode(errors="replace").removeprefix("mmal: ") or CUT_OFF


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
