"""What runs in the vision process of a test, instead of `vision_child.see`: it loads at once, and most misbehave."""

from __future__ import annotations

import os
import signal
import struct
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import FeatureFrame, Modality
from mmal_ros.sensors.source import SourceState, SourceStatus
from mmal_ros.vision_child import STATUS_PERIOD_S, VisionSettings

PICTURE = b"\xff\xd8 a child \xff\xd9"


def sees(connection: Connection, settings: VisionSettings) -> None:
    """As it should be."""
    connection.send(("ready", None))
    _begin(connection)
    _go_on(connection)


def sees_at_once(connection: Connection, settings: VisionSettings) -> None:
    """A picture, a frame and how the camera is come before the word that it has begun."""
    connection.send(("ready", None))
    assert connection.recv()[0] == "start"
    connection.send(("image", (1, PICTURE)))
    connection.send(("frame", _frame()))
    connection.send(("status", SourceStatus(SourceState.STREAMING, received=1)))
    connection.send(("started", None))
    connection.recv()


def never_can(connection: Connection, settings: VisionSettings) -> None:
    """As a file that is no video: also while something has been seen."""
    connection.send(("ready", None))
    connection.recv()
    connection.send(("image", (1, PICTURE)))
    connection.send(("failed", "nowhere.mp4 is no video"))


def dies_as_it_loads(connection: Connection, settings: VisionSettings) -> None:
    """The first one, as if the system had no memory left."""
    if _is_first(settings):
        os.kill(os.getpid(), signal.SIGKILL)
    sees(connection, settings)


def says_nothing(connection: Connection, settings: VisionSettings) -> None:
    """The first one, as if a library hung."""
    if _is_first(settings):
        signal.pause()
    sees(connection, settings)


def freezes_in_a_message(connection: Connection, settings: VisionSettings) -> None:
    """The first one stands still when it has sent how long a message will be, and a byte of it."""
    connection.send(("ready", None))
    _begin(connection)
    if _is_first(settings):
        _stand_still_in_a_message(connection)
    _go_on(connection)


def freezes_in_its_first_word(connection: Connection, settings: VisionSettings) -> None:
    """The first one does so before it is ready."""
    if _is_first(settings):
        _stand_still_in_a_message(connection)
    sees(connection, settings)


def _begin(connection: Connection) -> None:
    assert connection.recv()[0] == "start"
    connection.send(("started", None))


def _go_on(connection: Connection) -> None:
    """Frames, and how the camera is, until told to stop."""
    while not connection.poll(STATUS_PERIOD_S):
        connection.send(("frame", _frame()))
        connection.send(("status", SourceStatus(SourceState.STREAMING)))


def _stand_still_in_a_message(connection: Connection) -> None:
    os.write(connection.fileno(), struct.pack("!i", 100_000) + b"x")  # as multiprocessing does
    os.kill(os.getpid(), signal.SIGSTOP)


def _frame() -> FeatureFrame:
    return FeatureFrame(Modality.FACE, 1, np.zeros(1, np.float32), False, 0.0, "none")


def _is_first(settings: VisionSettings) -> bool:
    """Whether no other one has been here: the target of the SPEC is a file that says so."""
    mark = Path(settings.spec.target)
    is_first = not mark.exists()
    mark.touch()
    return is_first
