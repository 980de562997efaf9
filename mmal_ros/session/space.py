"""What is left of a session's disk, and what may be written to it then: clips go first, then features, never labels.

Beside what is left for flags and labels alone, a session keeps a reserve: a file that is given up when somebody else
has filled the disk, so that flags, labels and the end of the recording still fit.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

from mmal_ros.files import open_private
from mmal_ros.session.card import SessionError
from mmal_ros.wording import why

FREE_TO_START = 1_000_000_000
"""Bytes."""
ENOUGH_AGAIN = 50_000_000
"""Bytes more, before what was given up is taken up again: else it would come and go."""
FULL = 1_000_000
"""With fewer bytes free it is the disk that is to blame."""
RESERVE_NAME = ".reserve"
RESERVE_BYTES = 16_000_000
"""Some thousand flags and labels, or the index of a bag of several hours."""


class Room(IntEnum):
    """What there is room for."""

    FLAGS = 0
    """Flags and labels only."""
    FEATURES = 1
    """Features, too."""
    CLIPS = 2
    """Everything."""


FREE_FOR = {Room.CLIPS: 400_000_000, Room.FEATURES: 200_000_000}
"""Bytes, the best first."""
GIVEN_UP = {
    Room.FEATURES: "no clips are made; features, flags and labels are recorded",
    Room.FLAGS: "flags and labels are still recorded, clips and features are not",
}
log = logging.getLogger(__name__)


class Space:
    """Watches the disk of a session, and keeps its reserve."""

    def __init__(self, folder: Path) -> None:
        """Take the reserve; raises OSError where it does not fit."""
        self._folder = folder
        self._gone = ""
        self.room = Room.CLIPS
        """As it was when somebody looked last."""
        _take_reserve(folder)

    @property
    def problem(self) -> str:
        """Empty: there is room for everything; else one sentence, the same one as long as it is so."""
        room, gone = self.room, self._gone  # as they are at one moment: another thread looks
        if gone or room is Room.CLIPS:
            return gone
        needed = FREE_FOR[Room(room + 1)] // 1_000_000
        return f"less than {needed} MB are free on the disk: {GIVEN_UP[room]}"

    def look(self) -> Room:
        """What there is room for now; where the disk is gone, for nothing that can wait until it is back."""
        try:
            self.room, self._gone = self._look(), ""
        except OSError as error:
            gone = f"the session's disk cannot be used ({why(error)}): clips and features are not recorded"
            if gone != self._gone:
                log.error(gone)  # once, not at every look
            self._gone, self.room = gone, Room.FLAGS
        return self.room

    def _look(self) -> Room:
        free = shutil.disk_usage(self._folder).free
        fits = (room for room, needed in FREE_FOR.items() if free >= needed + ENOUGH_AGAIN * (room > self.room))
        room = next(fits, Room.FLAGS)
        if room is Room.CLIPS:
            _take_reserve(self._folder)
        return room


def check_space(root: Path) -> None:
    """Refuse to begin a session that would hardly fit; raises SessionError."""
    try:
        there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise SessionError(f"no session can be written to {root}: {why(error)}") from error
    if free < FREE_TO_START:
        raise SessionError(
            f"{there} has only {free // 1_000_000} MB free; a session needs {FREE_TO_START // 1_000_000} MB to start"
        )


def give_up_reserve(folder: Path) -> bool:
    """Make room in a session's folder for what must not be lost; returns whether there was a reserve."""
    try:
        (folder / RESERVE_NAME).unlink()
    except OSError:  # there is none, or the disk is gone
        return False
    return True


def is_full(folder: Path) -> bool:
    """Whether nothing more fits onto the disk of a folder."""
    try:
        return shutil.disk_usage(folder).free < FULL
    except OSError:
        return False


def _take_reserve(folder: Path) -> None:
    path = folder / RESERVE_NAME
    if path.exists():
        return
    descriptor = open_private(path, os.O_WRONLY)
    try:
        os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
    except OSError:
        with suppress(OSError):
            path.unlink()  # an empty one would be taken for a reserve the next time
        raise
    finally:
        os.close(descriptor)
