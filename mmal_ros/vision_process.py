"""Vision in a process of its own: it needs most of a core, and Python runs one thread at a time.

The pictures stay in the process; frames, and small JPEGs if asked for, come out through a pipe. A process that dies
is started again. Both ends are here: `VisionProcess` for the parent, `_child` for what runs on the other side.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import time_ns
from typing import Any

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Sample
from mmal_ros.extraction import OnFrame, ThreadExtraction
from mmal_ros.features.extractor import Extractor
from mmal_ros.sensors.pushed import PushedSource
from mmal_ros.sensors.source import SourceError, SourceState, SourceStatus, back_off, monotonic_s
from mmal_ros.sensors.specs import Spec, live_source

OnImage = Callable[[int, bytes], None]
"""Called with the stamp and the JPEG of a picture."""
STATUS_PERIOD_S = 0.2
"""How often the process tells how its source is; well below the 2 s in which a fault must be known."""
START_TIMEOUT_S = 90.0
"""MediaPipe imports and loads its graphs in 2 to 10 s, on a busy machine more."""
STOP_TIMEOUT_S = 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """What the process needs to know."""

    spec: Spec
    pose_every: int = 2
    """The pose is looked for in every n-th picture; the face in all of them."""
    image_rate_hz: float = 0.0
    """How many JPEGs a second come out; 0: none."""
    jpeg_quality: int = 80


class VisionProcess:
    """FACE and BODY from a camera SPEC, in a supervised process."""

    def __init__(self, settings: VisionSettings, on_frame: OnFrame, on_image: OnImage | None = None) -> None:
        self._settings = settings
        self._on_frame = on_frame
        self._on_image = on_image
        self._status = SourceStatus(SourceState.STARTING)
        self._restarts = 0
        self._start_ns = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="vision", daemon=True)

    @property
    def status(self) -> SourceStatus:
        """How the camera is; LOST while the process is being started again."""
        return self._status

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
        self._connection.send(("start", start_ns))
        self._await("started")
        self._thread.start()

    def feed(self, image: Sample) -> None:
        """Hand over a picture, when the SPEC is a topic."""
        try:
            self._connection.send(("image", image))
        except OSError:
            log.debug("a picture came while the vision process was down")

    def stop(self) -> None:
        """End the process; harmless when called twice."""
        self._stopping.set()
        if not hasattr(self, "_process"):
            return
        try:
            self._connection.send(("stop", None))
        except OSError:
            log.debug("the vision process had ended already")
        self._process.join(STOP_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT_S)
        self._connection.close()

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit the threads' locks
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_child, args=(other, self._settings), name="vision", daemon=True)
        self._process.start()
        other.close()  # so that a dead child is an end of file here

    def _await(self, expected: str) -> None:
        if not self._connection.poll(START_TIMEOUT_S):
            raise SourceError(f"the vision process did not answer within {START_TIMEOUT_S:.0f} s")
        try:
            kind, content = self._connection.recv()
        except EOFError:
            self._process.join(STOP_TIMEOUT_S)
            raise SourceError(f"the vision process ended with code {self._process.exitcode} as it started") from None
        if kind != expected:
            raise SourceError(str(content))

    def _supervise(self) -> None:
        waits = back_off()
        while not self._stopping.is_set():
            self._receive()
            if self._stopping.is_set():
                return
            self._restarts += 1
            message = f"the vision process ended with code {self._process.exitcode}; starting it again"
            log.error(message)
            self._status = SourceStatus(SourceState.LOST, message, reconnects=self._restarts)
            try:
                self._launch()
                self._await("ready")
                self._connection.send(("start", self._start_ns))
                self._await("started")
            except (SourceError, OSError) as error:
                log.error("the vision process does not start: %s", error)
                self._stopping.wait(next(waits))

    def _receive(self) -> None:
        """Pass on what the process sends until it ends."""
        while True:
            try:
                kind, content = self._connection.recv()
            except (EOFError, OSError):
                self._process.join(STOP_TIMEOUT_S)
                return
            if kind == "frame":
                self._on_frame(content)
            elif kind == "image" and self._on_image is not None:
                self._on_image(*content)
            elif kind == "status":
                self._status = content


class _Outlet:
    """The child's end of the pipe; several threads send."""

    def __init__(self, connection: Connection, settings: VisionSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._lock = threading.Lock()
        self._next_image_ns = 0

    def send(self, kind: str, content: Any = None) -> None:
        with self._lock:
            self._connection.send((kind, content))

    def send_frame(self, frame: FeatureFrame) -> None:
        self.send("frame", frame)

    def send_image(self, sample: Sample) -> None:
        """Every now and then, a JPEG."""
        rate_hz = self._settings.image_rate_hz
        if rate_hz <= 0 or sample.stamp_ns < self._next_image_ns:
            return
        import cv2

        self._next_image_ns = sample.stamp_ns + round(NANOSECONDS_PER_SECOND / rate_hz)
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._settings.jpeg_quality]
        done, jpeg = cv2.imencode(".jpg", sample.values, quality)
        if done:
            self.send("image", (sample.stamp_ns, jpeg.tobytes()))


def _child(connection: Connection, settings: VisionSettings) -> None:
    """What runs in the process: load, wait for the start, work until told to stop or left alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    outlet = _Outlet(connection, settings)
    fed = PushedSource("camera", f"the topic {settings.spec.target}", backlog=1)
    try:
        source = fed if settings.spec.scheme == "topic" else live_source(settings.spec, time_ns)
        extraction = ThreadExtraction(source, _extractor(settings), outlet.send_frame, outlet.send_image)
        extraction.prepare()
        outlet.send("ready")
        _, start_ns = connection.recv()
        extraction.start(start_ns)
        outlet.send("started")
        _serve(connection, outlet, extraction, fed)
        extraction.stop()
    except SourceError as error:
        outlet.send("failed", str(error))
    except (EOFError, OSError):
        log.debug("the parent is gone")


def _extractor(settings: VisionSettings) -> Extractor:
    try:
        from mmal_ros.features.vision import VisionExtractor
    except ModuleNotFoundError as error:
        raise SourceError(f"a camera needs the package '{error.name}'; try: mmal doctor") from error
    return VisionExtractor(pose_every=settings.pose_every)


def _serve(connection: Connection, outlet: _Outlet, extraction: ThreadExtraction, fed: PushedSource) -> None:
    """Take pictures and orders, and tell how the source is, until told to stop."""
    next_status_s = 0.0
    while True:
        if connection.poll(STATUS_PERIOD_S):
            kind, content = connection.recv()
            if kind == "stop":
                return
            fed.push(content)
        if monotonic_s() >= next_status_s:
            outlet.send("status", extraction.status)
            next_status_s = monotonic_s() + STATUS_PERIOD_S
