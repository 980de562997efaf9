"""The parent's end of the vision process: whoever dies or hangs at the other, whenever that is, has a successor."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest

from mmal_ros import vision_process
from mmal_ros.datatypes import FeatureFrame
from mmal_ros.sensors.source import SourceError, SourceState
from mmal_ros.sensors.specs import Sensor, Spec
from mmal_ros.vision_child import VisionSettings
from mmal_ros.vision_process import VisionProcess
from rigs import vision_stand_ins
from rigs.ros import wait_until

PATIENCE_S = 60.0


class Watched:
    """A vision process, and what came out of it."""

    def __init__(self, settings: VisionSettings) -> None:
        self.frames: list[FeatureFrame] = []
        self.images: list[tuple[int, bytes]] = []
        self.vision = VisionProcess(settings, self.frames.append, lambda *image: self.images.append(image))

    @property
    def says(self) -> str:
        return self.vision.status.message

    def wait_until_it_sees(self) -> None:
        wait_until(lambda: self.frames and self.vision.status.state is SourceState.STREAMING, PATIENCE_S)


@pytest.fixture
def at_the_other_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Watched]]:
    """Makes a vision process in which one of `rigs.vision_stand_ins` runs."""
    made: list[Watched] = []

    def make(stand_in: str) -> Watched:
        monkeypatch.setattr(vision_process, "see", getattr(vision_stand_ins, stand_in))
        made.append(Watched(VisionSettings(Spec(Sensor.CAMERA, "file", str(tmp_path / "somebody was here")))))
        return made[-1]

    yield make
    for watched in made:
        watched.vision.stop()


@pytest.fixture
def in_its_driver() -> Iterator[pytest.MonkeyPatch]:
    """Whoever is stopped by SIGSTOP cannot be killed until this is undone, and ends when it is.

    It is a stand-in: uninterruptible sleep, as in the driver of a camera or on a disk that does not answer, cannot be
    made without such a driver. As there, a signal to end does nothing, and `join()` waits for ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseProcess, "kill", lambda process: None)
        yield patch


@pytest.mark.parametrize("stand_in", ["dies_as_it_loads", "says_nothing", "freezes_in_its_first_word"])
def test_one_that_does_not_come_to_be_ready_has_a_successor(at_the_other_end, monkeypatch, stand_in):
    """Memory may be short while models load; nothing says that what was asked for can never work."""
    monkeypatch.setattr(vision_process, "START_TIMEOUT_S", 5.0)
    watched = at_the_other_end(stand_in)
    watched.vision.prepare()
    assert watched.vision.status.state is SourceState.LOST
    assert "as it was loading" in watched.says
    watched.vision.start(0)
    watched.wait_until_it_sees()
    assert watched.vision.status.reconnects >= 1


def test_one_that_is_killed_before_it_is_to_begin_has_a_successor(at_the_other_end):
    watched = at_the_other_end("sees")
    watched.vision.prepare()
    first = watched.vision.pid
    os.kill(first, signal.SIGKILL)
    watched.vision.start(0)
    watched.wait_until_it_sees()
    assert watched.vision.pid != first


def test_one_that_freezes_in_the_middle_of_a_message_has_a_successor(at_the_other_end):
    """There is something to read, and its end never comes."""
    watched = at_the_other_end("freezes_in_a_message")
    watched.vision.prepare()
    first = watched.vision.pid
    watched.vision.start(0)
    wait_until(lambda: watched.vision.pid != first, 30)
    watched.wait_until_it_sees()
    assert not psutil.pid_exists(first)


def test_what_is_seen_before_the_word_that_it_has_begun_is_passed_on(at_the_other_end, caplog):
    caplog.set_level(logging.DEBUG)
    watched = at_the_other_end("sees_at_once")
    watched.vision.prepare()
    watched.vision.start(0)
    assert (len(watched.images), len(watched.frames)) == (1, 1)
    assert watched.vision.status.received == 1
    assert "a child" not in caplog.text


def test_what_can_never_work_is_refused_with_its_reason_alone(at_the_other_end, caplog):
    """And not with a picture that came before it."""
    watched = at_the_other_end("never_can")
    watched.vision.prepare()
    with pytest.raises(SourceError, match=r"^nowhere\.mp4 is no video$"):
        watched.vision.start(0)
    assert len(watched.images) == 1
    assert "a child" not in caplog.text


def test_one_that_hangs_in_its_driver_is_left_alone_at_the_end(at_the_other_end, in_its_driver, monkeypatch, caplog):
    """Whoever ends a session waits for it a while, and no longer."""
    monkeypatch.setattr(vision_process, "STOP_TIMEOUT_S", 0.5)
    watched = at_the_other_end("sees")
    watched.vision.prepare()
    watched.vision.start(0)
    watched.wait_until_it_sees()
    os.kill(watched.vision.pid, signal.SIGSTOP)
    end = threading.Thread(target=watched.vision.stop, daemon=True)
    end.start()
    end.join(PATIENCE_S)
    in_its_driver.undo()
    assert not end.is_alive()
    assert "hangs in its driver" in caplog.text


def test_one_that_hangs_in_its_driver_is_named_and_has_a_successor_when_that_lets_it_go(
    at_the_other_end, in_its_driver, monkeypatch
):
    """Not before: the camera is taken, and more and more processes would hang."""
    monkeypatch.setattr(vision_process, "STOP_TIMEOUT_S", 0.5)
    watched = at_the_other_end("sees")
    watched.vision.prepare()
    watched.vision.start(0)
    watched.wait_until_it_sees()
    first = watched.vision.pid
    os.kill(first, signal.SIGSTOP)
    wait_until(lambda: "hangs in its driver" in watched.says, PATIENCE_S)
    assert watched.vision.pid == first
    in_its_driver.undo()
    watched.wait_until_it_sees()
    assert watched.vision.pid != first
