"""Another model set while estimates go on: loaded in a thread, and noticed when the live version changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from rclpy.node import Node
from rclpy.task import Future

from mmal_ros.model_card import CURRENT_NAME
from mmal_ros.models import ModelSet

PERIOD_S = 0.5
"""How often it is looked for another live version: one `stat`. What is wrong with it must be known within 2 s."""


class LiveVersion:
    """Notices that another version of a model was made live.

    Attributes:
        path: as `load_model_set` takes it; of a version's folder nothing can change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = self._mark()

    def changed(self) -> bool:
        """Whether something was switched since the last time."""
        before, self._seen = self._seen, self._mark()
        return self._seen != before

    def _mark(self) -> tuple[int, int] | None:
        """What differs when `current` was replaced; None: there is none."""
        try:
            status = (self.path / CURRENT_NAME).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


async def load_beside(node: Node, load: Callable[[], ModelSet]) -> ModelSet:
    """What `load` returns, or raises, from a thread: the node's executor does other work until it is there.

    A callback that awaits this needs a callback group of its own, or its neighbours wait with it.
    """
    loaded: Any = Future(executor=node.executor)

    def run() -> None:
        try:
            loaded.set_result(load())
        except Exception as error:  # whatever it is, whoever waits has to hear of it
            loaded.set_exception(error)
        if (executor := node.executor) is not None:
            executor.wake()

    Thread(target=run, name="model", daemon=True).start()
    models: ModelSet = await loaded
    return models
