"""Vision in a process of its own: it needs most of a core, and Python runs one thread at a time.

The pictures stay in the process; frames, and small JPEGs if asked for, come out through a pipe. A process that dies or
hangs is started again. This is the parent's end; what runs on the other side is `vision_child`.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from mmal_ros.datatypes import Sample
from mmal_ros.extraction import OnFrame
from mmal_ros.newest_picture import NewestPicture
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
HUNG = f"hung for {GIVE_UP_S:.0f} s"
log = logging.getLogger(__name__)


class _ProcessError(Exception):
    """The process ended, hangs or did not come to be. It says nothing of what was asked for: another one may do."""


class VisionProcess:
    """FACE and BODY from a camera SPEC, in a supervised process."""

    def __init__(self, settings: VisionSettings, on_frame: OnFrame, on_image: OnImage | None = None) -> None:
        self._settings = settings
        self._on_frame = on_frame
        self._on_image = on_image
        self._status = SourceStatus(SourceState.STARTING)
        self._process: BaseProcess | None = None
        self._is_ready = False
        self._heard_s: float | None = None  # None: none is at work, and nothing is expected to be heard
        self._restarts = 0
        self._start_ns = 0
        self._stopping = threading.Event()
        self._launching, self._sending = threading.Lock(), threading.Lock()
        self._thread = threading.Thread(target=self._supervise, name="vision", daemon=True)
        self._pictures = NewestPicture(self._send)

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
        return None if self._process is None else self._process.pid

    def prepare(self) -> None:
        """Start the process and wait until its models and a recording are loaded.

        One that dies meanwhile, or hangs, fails nothing: `start` has another one started.

        Raises:
            SourceError: what was asked for can never work.
        """
        try:
            self._launch()
            self._await("ready")
            self._is_ready = True
        except _ProcessError as error:
            self._report(f"the vision process {error} as it was loading; another is tried when the camera begins")

    def start(self, start_ns: int) -> None:
        """Open the camera, or play a recording from `start_ns` on.

        A process that died since it was prepared is started again in the background, as one that dies later.

        Raises:
            SourceError: what was asked for can never work.
        """
        self._start_ns = start_ns
        try:
            if self._is_ready:
                self._begin()
        except _ProcessError as error:
            self._report(f"the vision process {error} as it was to begin; starting it again")
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
        if self._process is None:
            return
        if self._sending.acquire(timeout=POLL_S):  # a picture may be stuck in a pipe that nobody empties
            self._sending.release()
            self._try_to_send("stop", None)
            self._process.join(STOP_TIMEOUT_S)
        if not self._kill():
            log.error("the vision process hangs in its driver; it is left alone, and ends when that lets it go")
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT_S)
        self._connection.close()

    def _launch(self) -> None:
        """Raises SourceError when nothing is to be started any more, and _ProcessError when nothing can be."""
        with self._launching:
            if self._stopping.is_set():
                raise SourceError("it is being stopped")
            try:
                self._connection, self._process = _launched(self._settings)
            except OSError as error:  # no memory, no more processes
                raise _ProcessError(f"cannot be started: {error}") from error

    def _begin(self) -> None:
        try:
            with self._sending:
                self._connection.send(("start", self._start_ns))
        except OSError:
            raise self._ended() from None
        self._await("started")
        self._heard_s = monotonic_s()

    def _await(self, expected: str) -> None:
        """Pass on what comes before that word: it may see before it says so. SourceError: it says that it never can."""
        until_s = monotonic_s() + START_TIMEOUT_S
        while (message := self._hear(until_s - monotonic_s())) is not None:
            kind, content = message
            if kind == expected:
                return
            if kind == "failed":
                raise SourceError(content)
            self._pass_on(kind, content)
        raise _ProcessError(f"did not answer within {START_TIMEOUT_S:.0f} s")

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            if self._heard_s is None:  # none is at work
                self._start_again()
                continue
            end = self._receive()
            if not self._stopping.is_set():
                self._report(f"the vision process {end}; starting it again")

    def _start_again(self) -> None:
        """Until it works or is no longer wanted; so late that no window sees both what the old and the new one saw."""
        waits, settled_s = back_off(), monotonic_s() + REACH_S
        while not self._stopping.is_set():
            self._restarts += 1
            try:
                self._replace()
                self._await("ready")
                self._stopping.wait(max(0.0, settled_s - monotonic_s()))
                self._begin()
                return
            except (SourceError, _ProcessError) as error:
                self._report(f"the vision process does not start ({error}); trying again")
                self._stopping.wait(next(waits))

    def _replace(self) -> None:
        if not self._kill():  # another one would find the camera taken, and hang as well
            raise _ProcessError(
                "the one before hangs in its driver, and nothing ends it before that lets it go; "
                "if it is a USB camera, unplug it and plug it in again"
            )
        self._launch()

    def _report(self, message: str) -> None:
        if not self._stopping.is_set():
            log.error(message)
        self._heard_s = None
        self._status = replace(self._status, state=SourceState.LOST, message=message)

    def _kill(self) -> bool:
        """Whether there is none any more. Nothing ends a process that waits for a driver, or for a disk far away."""
        if self._process is None:
            return True
        self._process.kill()
        self._process.join(STOP_TIMEOUT_S)
        return self._process.exitcode is not None

    def _receive(self) -> str:
        """Pass on what the process sends until it ends, or hangs; which of them."""
        while True:
            try:
                message = self._hear(POLL_S)
            except _ProcessError as error:
                return str(error)
            if message is not None:
                self._pass_on(*message)
                self._heard_s = monotonic_s()
            elif monotonic_s() - (self._heard_s or 0) > GIVE_UP_S:
                return HUNG

    def _hear(self, patience_s: float) -> tuple[str, Any] | None:
        """The next message; None: none within so many seconds. Raises _ProcessError when none will come any more."""
        try:
            if patience_s <= 0 or not self._connection.poll(patience_s):
                return None
            kind, content = self._connection.recv()
        except BlockingIOError:  # in the middle of a message
            raise _ProcessError(HUNG) from None
        except (EOFError, OSError):
            raise self._ended() from None
        return kind, content

    def _ended(self) -> _ProcessError:
        assert self._process is not None
        self._process.join(STOP_TIMEOUT_S)
        return _ProcessError(f"ended with code {self._process.exitcode}")

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


def _launched(settings: VisionSettings) -> tuple[Connection, BaseProcess]:
    """Our end of the pipe, and the process at the other; raises OSError."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit the threads' locks
    ours, theirs = context.Pipe()
    with theirs:  # closed here, so that a dead child is an end of file
        _limit_patience(ours)
        process = context.Process(target=see, args=(theirs, settings), name="vision", daemon=True)
        process.start()
    return ours, process


def _limit_patience(connection: Connection) -> None:
    """Who reads waits `GIVE_UP_S` for the rest of a message, not for ever; BlockingIOError is raised then."""
    with socket.socket(fileno=os.dup(connection.fileno())) as end:  # a pipe of two directions is a pair of sockets
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", round(GIVE_UP_S), 0))
