"""What a camera does to somebody who watches through it; the camera is a real one on the network of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mmal_ros.datatypes import Sample
from mmal_ros.sensors import camera as camera_module
from mmal_ros.sensors.backlog import Backlog
from mmal_ros.sensors.camera import Camera
from mmal_ros.sensors.source import SourceError, SourceState
from rigs.mjpeg_camera import MjpegCamera, number_of, numbered_picture
from rigs.rtsp_camera import RtspCamera

DETECTED_S = 2.0
PATIENCE_S = 20.0


class Viewer:
    """Somebody who looks at every picture as soon as it is there."""

    def __init__(self, target: str) -> None:
        self.camera = Camera(target, time.time_ns)
        self.samples: list[Sample] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Viewer:
        self.camera.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.camera.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "closing the camera must end the iteration"

    def _watch(self) -> None:
        self.samples.extend(self.camera)  # extends as they come

    def sees(self, more: int = 5) -> None:
        """Wait until so many more pictures have come."""
        before = self.camera.status.received
        wait_until(lambda: self.camera.status.received >= before + more)


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> float:
    """Seconds until the condition held."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < timeout_s, "it never happened"
        time.sleep(0.01)
    return time.monotonic() - start


@pytest.fixture
def mjpeg() -> Iterator[MjpegCamera]:
    with MjpegCamera() as running:
        yield running


def test_pictures_come_in_order_with_the_time_of_their_arrival(mjpeg: MjpegCamera) -> None:
    before_ns = time.time_ns()
    with Viewer(mjpeg.url) as viewer:
        viewer.sees(20)
        status = viewer.camera.status
    assert status.state is SourceState.STREAMING
    assert status.message == ""
    stamps = [sample.stamp_ns for sample in viewer.samples]
    numbers = [number_of(sample.values) for sample in viewer.samples]
    assert stamps == sorted(set(stamps))
    assert before_ns < stamps[0] <= stamps[-1] < time.time_ns()
    assert numbers == sorted(set(numbers))
    assert all(sample.source == "camera" and sample.values.dtype == np.uint8 for sample in viewer.samples)


def test_a_slow_reader_gets_the_newest_picture_and_the_rest_is_counted(mjpeg: MjpegCamera) -> None:
    with Camera(mjpeg.url, time.time_ns) as camera:
        pictures = iter(camera)
        next(pictures)
        time.sleep(1.0)
        next(pictures)
        assert mjpeg.now - number_of(next(pictures).values) <= 5
        assert camera.status.dropped >= 10


def test_a_stall_is_told_within_two_seconds_and_pictures_come_back(mjpeg: MjpegCamera) -> None:
    with Viewer(mjpeg.url) as viewer:
        viewer.sees()
        mjpeg.stall()
        wait_until(lambda: viewer.camera.status.state is not SourceState.STREAMING, DETECTED_S)
        assert "stopped sending" in viewer.camera.status.message
        mjpeg.go()
        viewer.sees()
        assert viewer.camera.status.state is SourceState.STREAMING
        assert viewer.camera.status.reconnects >= 1


def test_a_stream_over_rtsp_stalls_and_comes_back() -> None:
    with RtspCamera(numbered_picture) as rtsp, Viewer(rtsp.url) as viewer:
        viewer.sees(10)
        rtsp.stall()
        wait_until(lambda: viewer.camera.status.state is SourceState.LOST, DETECTED_S)
        assert "stopped sending" in viewer.camera.status.message
        rtsp.go()
        wait_until(lambda: viewer.camera.status.state is SourceState.STREAMING)
        viewer.sees()


def test_a_dropped_connection_is_made_again(mjpeg: MjpegCamera) -> None:
    with Viewer(mjpeg.url) as viewer:
        viewer.sees()
        mjpeg.die()
        wait_until(lambda: viewer.camera.status.state is SourceState.LOST, DETECTED_S)
        viewer.sees()
        assert viewer.camera.status.reconnects == 1


def test_an_unplugged_camera_is_looked_for_until_it_is_back(mjpeg: MjpegCamera) -> None:
    with Viewer(mjpeg.url) as viewer:
        viewer.sees()
        mjpeg.switch_off()
        wait_until(lambda: viewer.camera.status.state is SourceState.LOST, DETECTED_S)
        wait_until(lambda: "cannot be opened" in viewer.camera.status.message)
        mjpeg.switch_on()
        viewer.sees()


def test_a_frozen_picture_is_not_a_new_one(mjpeg: MjpegCamera) -> None:
    with Viewer(mjpeg.url) as viewer:
        viewer.sees()
        mjpeg.freeze()
        wait_until(lambda: viewer.camera.status.state is SourceState.SILENT, DETECTED_S + 0.2)
        assert "same picture" in viewer.camera.status.message
        assert viewer.camera.status.repeated > 10
        mjpeg.go()
        viewer.sees()
        assert viewer.camera.status.state is SourceState.STREAMING
    numbers = [number_of(sample.values) for sample in viewer.samples]
    assert len(numbers) == len(set(numbers))


def test_after_a_pause_the_old_pictures_are_dropped(mjpeg: MjpegCamera) -> None:
    ages: list[int] = []
    with Camera(mjpeg.url, time.time_ns) as camera:
        pictures = iter(camera)
        for _ in range(30):
            next(pictures)
        dropped = camera.status.dropped
        mjpeg.hold_back()
        threading.Timer(1.2, mjpeg.go).start()
        before = mjpeg.now
        for picture in pictures:
            ages.append(mjpeg.now - number_of(picture.values))
            if mjpeg.now > before + 75:
                break
        assert camera.status.dropped - dropped >= 20
    assert np.mean(np.array(ages) > 8) < 0.1, f"too many old pictures came through, by age: {ages}"


def test_a_read_that_hangs_ends_with_pictures_or_closing(mjpeg: MjpegCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "READ_TIMEOUT_MS", 8_000)
    with Viewer(mjpeg.url) as viewer:
        viewer.sees()
        mjpeg.stall()
        wait_until(lambda: viewer.camera.status.state is SourceState.LOST, DETECTED_S)
        wait_until(lambda: "hangs in its driver" in viewer.camera.status.message)
        mjpeg.go()
        viewer.sees()
        mjpeg.stall()
        wait_until(lambda: "hangs in its driver" in viewer.camera.status.message)
        start = time.monotonic()
        viewer.camera.close()
        assert time.monotonic() - start < 2.0


def test_closing_does_not_wait_for_a_camera_that_never_answers() -> None:
    with MjpegCamera() as silent:
        silent.stall()
        with Viewer(silent.url) as viewer:
            wait_until(lambda: "does not answer" in viewer.camera.status.message)
            assert viewer.camera.status.state is SourceState.STARTING
            start = time.monotonic()
            viewer.camera.close()
            assert time.monotonic() - start < 2.0


def test_a_local_camera_that_is_not_there_is_looked_for() -> None:
    with Viewer("63") as viewer:
        wait_until(lambda: "cannot be opened" in viewer.camera.status.message, DETECTED_S + 2)
        assert viewer.camera.status.state is SourceState.STARTING
        assert "plugged in" in viewer.camera.status.message


def test_the_password_of_a_camera_is_not_told_to_everybody() -> None:
    with Viewer("http://therapist:secret@127.0.0.1:1/cam") as viewer:
        wait_until(lambda: "cannot be opened" in viewer.camera.status.message)
        assert "camera http://127.0.0.1:1/cam" in viewer.camera.status.message


@pytest.mark.parametrize("target", ["front", "ftp://camera", "", "-1"])
def test_what_is_no_camera_is_refused_with_what_would_be_one(target: str) -> None:
    with pytest.raises(SourceError, match=r"expected a number .* http://"):
        Camera(target, time.time_ns)


def arrivals_after_a_pause(pause_s: float, queued: int) -> list[float]:
    """A second at 30 Hz, a pause, `queued` pictures 2 ms apart, then half a second at 30 Hz."""
    steady = [n / 30 for n in range(30)]
    burst = [steady[-1] + pause_s + 0.002 * n for n in range(queued)]
    return steady + burst + [burst[-1] + (n + 1) / 30 for n in range(15)]


def test_every_queued_picture_is_stale_and_the_live_ones_are_not() -> None:
    backlog = Backlog(rate_hz=30)
    stale = [backlog.is_stale(t) for t in arrivals_after_a_pause(pause_s=3.1, queued=93)]
    assert not any(stale[:30])
    assert all(stale[30:123])
    assert not any(stale[125:])


def test_a_hiccup_of_the_computer_does_not_let_the_rest_of_the_queue_through() -> None:
    times = np.array(arrivals_after_a_pause(pause_s=3.0, queued=60))
    times[50:] += 0.05
    backlog = Backlog(rate_hz=30)
    assert all([backlog.is_stale(t) for t in times][30:90])


@pytest.mark.parametrize("rate_hz", [1.0, 2.0, 5.0, 10.0, 60.0, 90.0])
def test_a_camera_slower_or_faster_than_expected_is_soon_believed(rate_hz: float) -> None:
    backlog = Backlog(rate_hz=30)
    stale = [backlog.is_stale(n / rate_hz) for n in range(100)]
    assert not any(stale[12:])


def test_pictures_that_come_in_small_bunches_are_not_stale() -> None:
    """A wireless camera: six pictures every 200 ms."""
    backlog = Backlog(rate_hz=30)
    assert not any(backlog.is_stale(n // 6 * 0.2 + n % 6 * 0.002) for n in range(120))
