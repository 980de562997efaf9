"""The microphone in the field, as whoever watches the graph sees it: a real sound server that we mistreat."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mmal_ros.datatypes import Modality
from mmal_ros.nodes.topics import FEATURES
from rigs.fault_log import Outcome, keep, seconds_until
from rigs.sound import Halted, SoundServer
from rigs.watched_graph import Fault, WatchedGraph, watched_graph

RATE_HZ = 16_000
NOISE = np.random.default_rng(1).integers(-9000, 9000, 300 * RATE_HZ).astype(np.int16)
HALTED_S = [4.0, pytest.param(20.0, marks=pytest.mark.soak)]


class Room:
    """There is noise in it, and a microphone."""

    def __init__(self, server: SoundServer) -> None:
        self._server = server
        self._playing: subprocess.Popen[bytes] | None = None

    def noise(self) -> None:
        self._playing = self._server.play(NOISE)

    def silence(self) -> None:
        if self._playing is not None:
            self._playing.kill()
            self._playing.wait()
            self._playing = None

    def suspend(self) -> None:
        self._server.suspend(True)

    def wake(self) -> None:
        self._server.suspend(False)

    def unplug(self) -> None:
        self._server.unplug()

    def plug_in(self) -> None:
        self.silence()
        self._server.plug_in()
        self.noise()

    def kill_server(self) -> None:
        self._server.kill()

    def start_server(self) -> None:
        self.silence()
        self._server.start()
        self.noise()


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    with SoundServer() as server:
        room = Room(server)
        room.noise()
        yield room
        room.silence()


@pytest.fixture(scope="module")
def graph(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedGraph]:
    parameters = {"source": "device:default", "feature_set": "spectral"}
    folder = tmp_path_factory.mktemp("microphone")
    with watched_graph(folder, "microphone_node", "microphone", (Modality.AUDIO,), **parameters) as graph:
        yield graph


def muted(room: Room) -> Fault:
    return Fault("microphone muted", "only zeros come", room.silence, room.noise, "sends only zeros")


def suspended(room: Room) -> Fault:
    return Fault("microphone suspended", "PulseAudio suspends the source", room.suspend, room.wake, "sends nothing")


def unplugged(room: Room) -> Fault:
    return Fault("microphone removed", "PulseAudio unloads it", room.unplug, room.plug_in, "went away")


def server_killed(room: Room) -> Fault:
    return Fault("sound server killed", "kill -9 pulseaudio", room.kill_server, room.start_server, "went away")


@pytest.mark.parametrize("fault", [muted, suspended, unplugged, server_killed])
def test_it_is_told_survived_and_over_when_its_cause_is(
    graph: WatchedGraph, room: Room, fault: Callable[[Room], Fault]
) -> None:
    graph.endures(fault(room))


@pytest.mark.parametrize("halted_s", HALTED_S)
def test_sound_that_waited_while_the_computer_stood_still_is_dropped_and_counted(
    graph: WatchedGraph, halted_s: float
) -> None:
    """PulseAudio keeps it and delivers it at once, without any flag of an overflow."""
    graph.wait_until_steady()
    dropped = graph.values["dropped"]
    with Halted(graph.sensor.pid):
        detected_s = seconds_until(lambda: graph.is_missing)
        time.sleep(halted_s - detected_s)
    recovered_s = seconds_until(lambda: graph.is_well)
    graph.wait_until_steady()
    frames = graph.ros.listen(FEATURES[Modality.AUDIO])
    seconds_until(lambda: len(frames) > 5)
    late_s = time.time() - (frames[-1].header.stamp.sec + frames[-1].header.stamp.nanosec / 1e9)
    assert late_s < 0.5, "what comes is new again"
    lost_s = (graph.values["dropped"] - dropped) / 100
    assert halted_s / 2 < lost_s < halted_s + 1
    provoked = f"SIGSTOP of the node for {halted_s:g} s"
    keep(Outcome("audio back-log", provoked, detected_s, recovered_s, f"{lost_s:.1f} s of sound"))


@pytest.mark.soak
@pytest.mark.parametrize("fault", [muted, suspended, unplugged, server_killed])
@pytest.mark.parametrize("repetition", range(3))
def test_again_and_again(graph: WatchedGraph, room: Room, fault: Callable[[Room], Fault], repetition: int) -> None:
    graph.endures(fault(room))
