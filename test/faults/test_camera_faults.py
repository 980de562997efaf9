"""The camera in the field, as whoever watches the graph sees it: an MJPEG camera on the network that we mistreat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmal_ros.datatypes import Modality
from rigs.face_pictures import face_picture, write_video
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.mjpeg_camera import MjpegCamera, as_jpegs
from rigs.rtsp_camera import RtspCamera
from rigs.watched_graph import Fault, WatchedGraph, watched_graph

RATE_HZ = 15.0
WATCHED_S = 4.0
PAUSE_S = 1.2


@pytest.fixture(scope="module")
def camera() -> Iterator[MjpegCamera]:
    with MjpegCamera(RATE_HZ, as_jpegs(face_picture)) as camera:
        yield camera


@pytest.fixture(scope="module")
def graph_without_camera(camera: MjpegCamera, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedGraph]:
    """Everything runs; the camera is not plugged in yet."""
    source, folder = camera.url, tmp_path_factory.mktemp("camera")
    camera.switch_off()
    with watched_graph(folder, "camera_node", "camera", (Modality.FACE, Modality.BODY), source=source) as graph:
        yield graph


@pytest.fixture
def graph(graph_without_camera: WatchedGraph, camera: MjpegCamera) -> WatchedGraph:
    """The camera is plugged in, whichever tests ran before."""
    if camera.is_off:
        camera.switch_on()
    return graph_without_camera


def stalled(camera: MjpegCamera) -> Fault:
    return Fault("camera's stream stalls", "MJPEG server pauses", camera.stall, camera.go, "stopped sending")


def unplugged(camera: MjpegCamera) -> Fault:
    off, on = camera.switch_off, camera.switch_on
    return Fault("camera unplugged", "MJPEG server killed, started again", off, on, "cannot be opened")


def frozen(camera: MjpegCamera) -> Fault:
    says = "sends the same picture again and again"
    return Fault("camera frozen", "MJPEG server repeats one picture", camera.freeze, camera.go, says)


def broken_off(camera: MjpegCamera) -> Fault:
    says = "stopped sending; connecting again"
    return Fault("camera's connection breaks", "MJPEG server closes it", camera.die, lambda: None, says, missing=False)


def test_a_camera_that_is_not_there_at_the_start_is_waited_for(
    graph_without_camera: WatchedGraph, camera: MjpegCamera
) -> None:
    graph = graph_without_camera
    seconds_until(lambda: "cannot be opened" in graph.message)
    seconds_until(lambda: graph.is_missing)
    camera.switch_on()
    recovered_s = seconds_until(lambda: graph.is_well, 60)
    keep(Outcome("camera not there at the start", "no MJPEG server", None, recovered_s))


@pytest.mark.parametrize("fault", [stalled, unplugged, frozen])
def test_it_is_told_survived_and_over_when_its_cause_is(
    graph: WatchedGraph, camera: MjpegCamera, fault: Callable[[MjpegCamera], Fault]
) -> None:
    graph.endures(fault(camera))


def test_old_pictures_that_come_after_a_pause_are_dropped_and_counted(graph: WatchedGraph, camera: MjpegCamera) -> None:
    graph.wait_until_steady()
    dropped = graph.values["dropped"]
    camera.hold_back()
    time.sleep(PAUSE_S)
    camera.go()
    held_back = int(PAUSE_S * RATE_HZ)
    recovered_s = seconds_until(lambda: graph.values["dropped"] >= dropped + held_back // 2)
    graph.wait_until_steady()
    lost = f"{graph.values['dropped'] - dropped} pictures dropped, {held_back} had waited"
    keep(Outcome("stale pictures after a pause", "MJPEG server sends its back-log", None, recovered_s, lost))


@pytest.mark.parametrize("rate_hz", [3.0, 60.0])
def test_a_slower_or_a_faster_camera_is_no_trouble(graph: WatchedGraph, camera: MjpegCamera, rate_hz: float) -> None:
    """At 3 pictures a second BODY is looked for in each of them, and is heard also if one or the other is lost."""
    graph.wait_until_steady()
    camera.pace(rate_hz)
    time.sleep(1.0)
    first, logged = len(graph.estimates), len(graph.complaints())
    known = len(graph.complaints(node="engagement_node"))
    time.sleep(WATCHED_S)
    camera.pace(RATE_HZ)
    assert graph.complaints(logged) == []
    said = [line for line in graph.complaints(known, "engagement_node") if "estimates" not in line]
    assert len(said) == len(set(said)), said
    assert graph.share_heard(first) > 0.5


@pytest.mark.soak
@pytest.mark.parametrize("fault", [stalled, unplugged, frozen, broken_off])
@pytest.mark.parametrize("repetition", range(3))
def test_again_and_again(
    graph: WatchedGraph, camera: MjpegCamera, fault: Callable[[MjpegCamera], Fault], repetition: int
) -> None:
    graph.endures(fault(camera))


@pytest.mark.soak
def test_over_rtsp_it_is_the_same(graph: WatchedGraph) -> None:
    """The last tests of the file: the camera is exchanged."""
    with RtspCamera(face_picture) as camera:
        graph.change_source(camera.url)
        stall, go, off, on = camera.stall, camera.go, camera.switch_off, camera.switch_on
        graph.endures(Fault("camera's stream stalls", "RTSP server pauses", stall, go, "stopped sending"))
        graph.endures(Fault("camera unplugged", "RTSP server closed, started again", off, on, "cannot be opened"))


@pytest.mark.soak
def test_a_video_that_is_over_says_so_and_the_estimates_go_on(
    graph: WatchedGraph, camera: MjpegCamera, tmp_path: Path
) -> None:
    """Another camera again: a recording."""
    write_video(tmp_path / "short.mp4", pictures=60, rate_hz=RATE_HZ)
    graph.change_source(f"file:{tmp_path / 'short.mp4'}")
    seconds_until(lambda: graph.is_well, 60)
    first = len(graph.estimates)
    seconds_until(lambda: graph.is_troubled and graph.message == "ended")
    seconds_until(lambda: graph.is_missing)
    graph.check_estimates(first, went_missing=True)
    keep(Outcome("video file ends", "a video of 4 s", None, None))
