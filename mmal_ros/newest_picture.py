"""The newest picture, for somebody who may be slow: nothing queues, and who brings it never waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mmal_ros.datatypes import Sample

END_TIMEOUT_S = 0.5


class NewestPicture:
    """Hands pictures to somebody who may take his time; there is one thread and one picture that waits."""

    def __init__(self, send: Callable[[Sample], None]) -> None:
        self._deliver = send
        self._waiting: Sample | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Pictures that gave way to newer ones."""

    def put(self, image: Sample) -> None:
        """Take a picture; one that nobody took yet gives way to it."""
        with self._changed:
            self.dropped += self._waiting is not None
            self._waiting = image
            self._changed.notify()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Nothing is taken or handed over any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(END_TIMEOUT_S)

    def _run(self) -> None:
        while (image := self._take()) is not None:
            self._deliver(image)

    def _take(self) -> Sample | None:
        with self._changed:
            while self._waiting is None and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            image, self._waiting = self._waiting, None
            return image
