"""A live camera: a local one by its number, an MJPEG or RTSP one by its address."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import Sample
from mmal_ros.sensors.capture import Capture, CaptureSettings, Picture
from mmal_ros.sensors.source import Clock, LiveSource, SourceError, SourceState, back_off, monotonic_s
from mmal_ros.wording import without_password

SCHEMES = ("http://", "https://", "rtsp://")
SILENCE_S = 1.4
"""After so long without a new picture something is wrong: in time to say so within 2 s."""
OPEN_TIMEOUT_MS = 5_000
READ_TIMEOUT_MS = 1_500
POLL_S = 0.1
"""How soon `close` and the watchdog are heeded while nothing comes."""
OPENING_POLL_S = 0.02
RELEASE_S = 1.0
"""How long `close` waits for the driver to let go."""


class Camera(LiveSource):
    """Yields the newest picture; stamped with its arrival, as no camera of these kinds tells when it took it.

    Older pictures are thrown away and counted as `dropped`: those that nobody fetched in time, and those that queued
    up during a pause. A picture that equals the one before bit by bit is none (`repeated`), as sensors have noise; when
    only such come for `SILENCE_S` the status is SILENT. When nothing comes for so long, or the connection ends or
    cannot be made, the status is LOST (STARTING before the first picture ever), and it is opened anew with back-off.
    """

    name = "camera"

    def __init__(
        self,
        target: str,
        clock: Clock,
        width: int | None = None,
        height: int | None = None,
        rate_hz: float | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            target: the number of a local camera ("0"), or an address that starts with http://, https:// or rtsp://.
            clock: what pictures are stamped with.
            width: asked of a local camera, px; None: as it comes. The camera may give another.
            height: likewise.
            rate_hz: likewise, pictures a second.

        Raises:
            SourceError: the target is neither.
        """
        super().__init__(backlog=1)
        self._target = _parse(target)
        self._settings = CaptureSettings(self._target, width, height, rate_hz, OPEN_TIMEOUT_MS, READ_TIMEOUT_MS)
        self._clock = clock
        self._shown = f"camera {without_password(target)}"
        self._last_image: NDArray[np.uint8] | None = None

    def _run(self) -> None:
        waits_s = back_off()
        while not self._stop.is_set():
            received = self.status.received
            self._stream()
            if self.status.received > received:
                waits_s = back_off()
            self._stop.wait(next(waits_s))

    def _stream(self) -> None:
        """One connection, from opening it to its end."""
        capture = Capture(self._settings, self._clock)
        try:
            self._await_opening(capture)
            self._watch(capture)
            self._report_end(capture)
        finally:
            capture.abandon(RELEASE_S)
        self._wait_until_released(capture)

    def _await_opening(self, capture: Capture) -> None:
        since_s = monotonic_s()
        while capture.is_alive and not capture.opened and not self._stop.wait(OPENING_POLL_S):
            if monotonic_s() - since_s > SILENCE_S:
                self._update(message=f"{self._shown} does not answer yet")
        if capture.opened and self.status.received:
            self._update(count="reconnects")

    def _watch(self, capture: Capture) -> None:
        """Pass pictures on until the connection ends or is silent."""
        heard_s = new_s = monotonic_s()
        while not self._stop.is_set() and monotonic_s() - heard_s <= SILENCE_S:
            picture, dropped = capture.wait(POLL_S)
            self._update(count="dropped", by=dropped)
            if picture is not None or dropped:
                heard_s = monotonic_s()
            elif not capture.is_alive:
                return
            if picture is not None and self._take(picture, capture.rate_hz):
                new_s = heard_s
            elif heard_s - new_s > SILENCE_S:
                message = f"{self._shown} sends the same picture again and again: it is frozen or covered"
                self._update(state=SourceState.SILENT, message=message)

    def _take(self, picture: Picture, rate_hz: float) -> bool:
        """Pass a picture on if it is a new one."""
        if self._last_image is not None and np.array_equal(picture.image, self._last_image):
            self._update(count="repeated")
            return False
        self._last_image = picture.image
        self._emit(Sample("camera", picture.stamp_ns, picture.image, rate_hz))
        return True

    def _report_end(self, capture: Capture) -> None:
        if self._stop.is_set():
            return
        state = SourceState.LOST if self.status.received else SourceState.STARTING
        if capture.opened:
            message = f"{self._shown} stopped sending; connecting again"
        else:
            message = f"{self._shown} cannot be opened; still trying: {self._remedy()}"
        self._update(state=state, message=message)

    def _wait_until_released(self, capture: Capture) -> None:
        """A second connection beside one that hangs would find the device busy, and hang in turn."""
        while capture.is_alive and not self._stop.wait(POLL_S):
            self._update(message=f"{self._shown} hangs in its driver; unplug it if this stays")

    def _remedy(self) -> str:
        if isinstance(self._target, int):
            return "is it plugged in, used by another program, or readable for you (group video)?"
        return "is it switched on, and the address right?"


def _parse(target: str) -> int | str:
    if target.isdigit():
        return int(target)
    if target.startswith(SCHEMES):
        return target
    raise SourceError(f"camera '{target}' is not known; expected a number as in device:0, or {', '.join(SCHEMES)}…")
