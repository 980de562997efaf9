"""Work on a child's models in a process of its own that is killed; each is forked from one that has loaded it all."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mmal_ros.model_versions import rollback, use
from mmal_ros.training.person import deploy as deploy_module
from mmal_ros.training.person.deploy import Request, deploy
from mmal_ros.training.person.personalise import PRODUCT

QUICK = replace(PRODUCT, epochs=2, trees=20)
PATIENCE_S = 90.0


class Doomed:
    """Starts one process after the other."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["rigs.doomed"])

    def lasts(self, work: Callable[..., None], *arguments: Any) -> float:
        """In s, when nobody kills it."""
        process, began = self._begun(work, *arguments), time.monotonic()
        process.join(PATIENCE_S)
        assert process.exitcode == 0
        return time.monotonic() - began

    def killed(self, after_s: float, work: Callable[..., None], *arguments: Any) -> bool:
        """SIGKILL so long after its beginning; whether it was still at it."""
        process = self._begun(work, *arguments)
        process.join(after_s)
        process.kill()
        process.join(PATIENCE_S)
        return bool(process.exitcode == -signal.SIGKILL)

    def _begun(self, work: Callable[..., None], *arguments: Any) -> Any:
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_begin, args=(sender, work, *arguments), daemon=True)
        process.start()
        assert receiver.poll(PATIENCE_S), "the process did not start"
        receiver.recv()
        return process


def personalise(request: Request) -> None:
    """With few and small networks."""
    deploy_module.PRODUCT = QUICK
    deploy(request)


def switch_to_and_fro(folder: Path, one: str, other: str) -> None:
    """Until killed."""
    while True:
        use(folder, one)
        use(folder, other)
        rollback(folder)
        use(folder, other)


def _begin(told: Connection, work: Callable[..., None], *arguments: Any) -> None:
    told.send("now")
    work(*arguments)
