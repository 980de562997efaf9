"""Vision in a process of its own: it needs most of a core, and Python runs one thread at a time.

The pictures stay in the process; frames, and small JPEGs if asked for, come out through a pipe. A process that dies or
hangs is started again. This is the parent's end; what runs on the other side is `vision_child`.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mmal_ros.datatypes import Sample
from mmal_ros.extraction import OnFrame
from mmal_ros.sensors.source import SourceError, SourceState, SourceStatus, back_off, monotonic_s
from mmal_ros.vision_child import GIVE_UP_S, VisionSettings, see
from mmal_ros.windowing import REACH_S

OnImage = Callable[[int, bytes], None]
"""Called with the stamp and the JPEG of a picture."""
START_TIMEOUT_S = 90.0
"""MediaPipe imports and loads its graphs in 2 to 10 s, on a busy machine more."""
STOP_TIMEOUT_S = 5.0
SILENT_S = 1.2
"""Without a word for so long the process hangs: it speaks every 0.2 s, and a fault must be known within 2 s."""
POLL_S = 0.5
log = logging.getLogger(__name__)


class VisionProcess:
    """FACE and BODY from a camera SPEC, in a supervised process."""

    def __init__(self, settings: VisionSettings, on_frame: OnFrame, on_image: OnImage | None = None) -> None:
        self._settings = settings
        self._on_frame = on_frame
        self._on_image = on_image
        self._status = SourceStatus(SourceState.STARTING)
        self._heard_s: float | None = None  # None: nothing is expected to be heard
        self._restarts = 0
        self._start_ns = 0
        self._stopping = threading.Event()
        self._launching, self._sending = threading.Lock(), threading.Lock()
        self._thread = threading.Thread(target=self._supervise, name="vision", daemon=True)
        self._pictures = _NewestPicture(self._send)

    @property
    def status(self) -> SourceStatus:
        """How the camera is; LOST while the process is being started again."""
        status = replace(
            self._status,
            dropped=self._status.dropped + self._pictures.dropped,
            reconnects=self._status.reconnects + self._restarts,
        )
        if self._heard_s is not None and monotonic_s() - self._heard_s > SILENT_S:
            message = f"the vision process hangs; it is started again if that stays for {GIVE_UP_S:.0f} s"
            return replace(status, state=SourceState.SILENT, message=message)
        return status

    @property
    def pid(self) -> int | None:
        """The process, for those who watch over its use of the machine."""
        return self._process.pid

    def prepare(self) -> None:
        """Start the process and wait until its models and a recording are loaded; raises SourceError."""
        self._launch()
        self._await("ready")

    def start(self, start_ns: int) -> None:
        """Open the camera, or play a recording from `start_ns` on; raises SourceError when it can never work."""
        self._start_ns = start_ns
        self._begin()
        self._thread.start()

    def feed(self, image: Sample) -> None:
        """Hand over a picture, when the SPEC is a topic; never blocks. One that nobody took yet gives way to it."""
        self._pictures.put(image)

    def expect_somebody_else(self) -> None:
        """Another person comes: a neutral face is learnt anew, as by a process that is being started. Never blocks."""
        if self._heard_s is not None:  # in a thread: a picture may be stuck in a pipe that nobody empties
            threading.Thread(target=self._try_to_send, args=("somebody else", None), daemon=True).start()

    def stop(self) -> None:
        """End the process; harmless when called twice."""
        with self._launching:  # from here on no other is started
            self._stopping.set()
        self._pictures.close()
        if not hasattr(self, "_process"):
            return
        if self._sending.acquire(timeout=POLL_S):  # a picture may be stuck in a pipe that nobody empties
            self._sending.release()
            self._try_to_send("stop", None)
            self._process.join(STOP_TIMEOUT_S)
        self._kill()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT_S)
        self._connection.close()

    def _launch(self) -> None:
        """Raises SourceError, also when nothing is to be started any more."""
        context = multiprocessing.get_context("spawn")  # a fork would inherit the threads' locks
        with self._launching:
            if self._stopping.is_set():
                raise SourceError("it is being stopped")
            self._connection, other = context.Pipe()
            process = context.Process(target=see, args=(other, self._settings), name="vision", daemon=True)
            try:
                process.start()
            except OSError as error:  # no memory, no more processes
                raise SourceError(f"the vision process cannot be started: {error}") from error
            finally:
                other.close()  # so that a dead child is an end of file here
            self._process = process

    def _begin(self) -> None:
        with self._sending:
            self._connection.send(("start", self._start_ns))
        self._await("started")
        self._heard_s = monotonic_s()

    def _await(self, expected: str) -> None:
        if not self._connection.poll(START_TIMEOUT_S):
            raise SourceError(f"the vision process did not answer within {START_TIMEOUT_S:.0f} s")
        try:
            kind, content = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(STOP_TIMEOUT_S)
            raise SourceError(f"the vision process ended with code {self._process.exitcode} as it started") from None
        if kind != expected:
            raise SourceError(str(content))

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            end = self._receive()
            if not self._stopping.is_set():
                self._report(f"the vision process {end}; starting it again")
                self._start_again()

    def _start_again(self) -> None:
        """Until it works or is no longer wanted; so late that no window sees both what the old and the new one saw."""
        waits, settled_s = back_off(), monotonic_s() + REACH_S
        while not self._stopping.is_set():
            self._restarts += 1
            try:
                self._kill()
                self._launch()
                self._await("ready")
                self._stopping.wait(max(0.0, settled_s - monotonic_s()))
                self._begin()
                return
            except (SourceError, OSError) as error:
                self._report(f"the vision process does not start: {error}; trying again")
                self._stopping.wait(next(waits))

    def _report(self, message: str) -> None:
        if not self._stopping.is_set():
            log.error(message)
        self._heard_s = None
        self._status = replace(self._status, state=SourceState.LOST, message=message)

    def _kill(self) -> None:
        self._process.kill()
        self._process.join()

    def _receive(self) -> str:
        """Pass on what the process sends until it ends, or hangs; which of them."""
        while True:
            try:
                if self._connection.poll(POLL_S):
                    self._pass_on(*self._connection.recv())
                    self._heard_s = monotonic_s()
                elif monotonic_s() - (self._heard_s or 0) > GIVE_UP_S:
                    return f"hung for {GIVE_UP_S:.0f} s"
            except (EOFError, OSError):
                self._process.join(STOP_TIMEOUT_S)
                return f"ended with code {self._process.exitcode}"

    def _pass_on(self, kind: str, content: Any) -> None:
        if kind == "frame":
            self._on_frame(content)
        elif kind == "image" and self._on_image is not None:
            self._on_image(*content)
        elif kind == "status":
            self._status = content

    def _send(self, image: Sample) -> None:
        if self._heard_s is not None:  # else it is being started
            self._try_to_send("image", image)

    def _try_to_send(self, kind: str, content: Any) -> None:
        try:
            with self._sending:
                self._connection.send((kind, content))
        except OSError:
            log.debug("'%s' came while the vision process was down", kind)


class _NewestPicture:
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
        with self._changed:
            self.dropped += self._waiting is not None
            self._waiting = image
            self._changed.notify()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
                self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(POLL_S)

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
