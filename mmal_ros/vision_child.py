"""The far side of `vision_process`: what runs in the process that sees."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import time_ns
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, FeatureFrame, Sample
from mmal_ros.extraction import ThreadExtraction
from mmal_ros.sensors.pushed import PushedSource
from mmal_ros.sensors.source import SourceError, monotonic_s
from mmal_ros.sensors.specs import Spec, live_source

if TYPE_CHECKING:
    from mmal_ros.features.vision import VisionExtractor  # MediaPipe, which takes seconds to import

STATUS_PERIOD_S = 0.2
"""How often the process tells how its source is; well below the 2 s in which a fault must be known."""
GIVE_UP_S = 5.0
"""Who hangs for so long does not come back."""
MMAP_THRESHOLD, LARGE = -3, 128 * 1024
"""`M_MMAP_THRESHOLD` of glibc's malloc.h, and its value as a program begins; said once, it stays."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """What the process needs to know."""

    spec: Spec
    pose_every: int = 2
    """The pose is looked for in every n-th picture, and at least every 0.3 s; the face in all of them."""
    image_rate_hz: float = 0.0
    """How many JPEGs a second come out; 0: none."""
    jpeg_quality: int = 80


class _Outlet:
    """The child's end of the pipe; several threads send."""

    def __init__(self, connection: Connection, settings: VisionSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._lock = threading.Lock()
        rate_hz = settings.image_rate_hz
        self._image_period_ns = round(NANOSECONDS_PER_SECOND / rate_hz) if rate_hz > 0 else None
        self._next_image_ns = 0

    def send(self, kind: str, content: Any = None) -> None:
        with self._lock:
            self._connection.send((kind, content))

    def send_frame(self, frame: FeatureFrame) -> None:
        self.send("frame", frame)

    def send_image(self, sample: Sample) -> None:
        """Every now and then, a JPEG."""
        period_ns = self._image_period_ns
        if period_ns is None or 0 < self._next_image_ns - sample.stamp_ns <= period_ns:  # earlier: the clock was set
            return
        import cv2

        self._next_image_ns = sample.stamp_ns + period_ns
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._settings.jpeg_quality]
        done, jpeg = cv2.imencode(".jpg", sample.values, quality)
        if done:
            self.send("image", (sample.stamp_ns, jpeg.tobytes()))


def see(connection: Connection, settings: VisionSettings) -> None:
    """What runs in the process: load, wait for the start, work until told to stop or left alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _give_pictures_back()
    outlet = _Outlet(connection, settings)
    fed = PushedSource("camera", f"the topic {settings.spec.target}", backlog=1)
    try:
        source = fed if settings.spec.scheme == "topic" else live_source(settings.spec, time_ns)
        extractor = _extractor(settings)
        extraction = ThreadExtraction(source, extractor, outlet.send_frame, outlet.send_image)
        extraction.prepare()
        gc.freeze()  # what is loaded by now stays; no picture need wait while it is looked at for garbage
        outlet.send("ready")
        order, start_ns = _first_order(connection)
        if order == "stop":
            return
        extraction.start(start_ns)
        outlet.send("started")
        orders = {"image": fed.push, "somebody else": lambda _: extractor.expect_somebody_else()}
        _serve(connection, outlet, extraction, orders)
        extraction.stop()
    except SourceError as error:
        outlet.send("failed", str(error))
    except (EOFError, OSError):
        log.debug("the parent is gone")


def _give_pictures_back() -> None:
    """Memory of a picture goes back to the system, and not into a heap, where pictures and small things leave holes.

    Those took 18 MB, and went on growing, a picture now and then. It costs 0.7 ms of the processor for a picture.
    """
    with suppress(AttributeError):  # a C library without it
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, LARGE)


def _first_order(connection: Connection) -> tuple[str, Any]:
    """Begin or stop; what was on its way to the process before this one is nobody's."""
    while True:
        order, content = connection.recv()
        if order in ("start", "stop"):
            return order, content


def _extractor(settings: VisionSettings) -> VisionExtractor:
    for name in ("matplotlib", "matplotlib.pyplot"):  # MediaPipe would load it to draw, which takes half a second
        sys.modules.setdefault(name, ModuleType(name))
    try:
        from mmal_ros.features.vision import VisionExtractor
    except ModuleNotFoundError as error:
        raise SourceError(f"a camera needs the package '{error.name}'; try: mmal doctor") from error
    except ImportError as error:  # it does not fit the machine, and never will: no other process is to try
        raise SourceError(f"what a camera needs cannot be loaded: {error}; try: mmal doctor") from error
    return VisionExtractor(pose_every=settings.pose_every)


def _serve(
    connection: Connection, outlet: _Outlet, extraction: ThreadExtraction, orders: Mapping[str, Callable[[Any], None]]
) -> None:
    """Take pictures and orders, and tell how the source is, until told to stop."""
    next_status_s = 0.0
    while True:
        if connection.poll(STATUS_PERIOD_S):
            kind, content = connection.recv()
            if kind == "stop":
                return
            orders[kind](content)
        if extraction.stuck_s > GIVE_UP_S:
            os._exit(1)  # a thread that hangs in a library ends in no other way; the parent starts another process
        if monotonic_s() >= next_status_s:
            outlet.send("status", extraction.status)
            if extraction.failed:
                os._exit(1)  # MediaPipe's graphs do not come to life again; another process has new ones
            next_status_s = monotonic_s() + STATUS_PERIOD_S
