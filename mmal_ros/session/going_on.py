"""What a recorder that died was doing, for the one that the same parent starts in its place.

It is noted on this computer, where whoever is logged in has what is gone after a restart, and not beside the sessions:
their disk may be full, broken, or that of several computers. A note has no participant's code. Who ends in order takes
it away; whoever records keeps it fresh, for a parent may start the next one only tomorrow, for another child.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time

from mmal_ros.files import OTHERS, private_folder
from mmal_ros.session.card import SessionCard, SessionError
from mmal_ros.session.folder import SessionFolder, sessions_in

SINCE = 19
"""Place of the start time in /proc/PID/stat behind the name of the program (proc(5))."""
OLD_S = 60.0
"""Who is started again in place of one that died is there before."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What was going on."""

    card: SessionCard | None
    """Of the session that was being recorded; None: there was none, or it cannot be read at the moment."""
    is_stopped: bool
    """Whether somebody had stopped it."""


class GoingOn:
    """The note of one recorder: the name of a session's folder, hashed, or nothing when somebody has stopped it.

    What cannot be written is not: the recording itself matters more. A note that could not be finished is empty, so
    that nobody is recorded whom nobody asked for.
    """

    def __init__(self, root: Path, who: str) -> None:
        """Take away the notes of those whose parents are gone.

        Args:
            root: folder of all sessions.
            who: what makes a recorder the same one again: its name and what it was told when it was started.
        """
        self._root = root
        self._came_s = time()  # it may wait for others, and for long, before anybody asks what was going on
        self._is_mine = False
        parent = os.getppid()
        notes, same = _notes(), _hash(f"{_boot()} {root} {who}")
        self._path = None if notes is None else notes / f"{parent}-{_since(parent)}-{same}"
        for note in [] if notes is None else _entries(notes):
            pid, _, rest = note.name.partition("-")
            if _since(pid) != rest.partition("-")[0]:
                with suppress(OSError):
                    note.unlink()

    def remember(self, folder: SessionFolder | None) -> None:
        """This session is being recorded. None, somebody stopped it: needs no room where something was noted before."""
        self._is_mine = True
        with suppress(OSError):
            if self._path is not None:
                self._path.write_text("" if folder is None else _hash(folder.path.name))

    def keep_fresh(self) -> None:
        """What was noted still holds; to be said once a second, but not before `recall`: that looks how old it is."""
        with suppress(OSError):
            if self._path is not None:
                os.utime(self._path)

    def forget(self) -> None:
        """It ends in order."""
        with suppress(OSError):
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def recall(self) -> Unfinished | None:
        """What was going on when the one before died; None: there was none, or it died too long ago."""
        if self._path is None or self._is_mine:
            return None
        try:
            noted, noted_s = self._path.read_text(), self._path.stat().st_mtime
        except (OSError, ValueError):
            return None
        if not noted:
            return Unfinished(None, is_stopped=True)  # until somebody starts one, however long that takes
        if self._came_s - noted_s > OLD_S:
            self.forget()
            return None
        return Unfinished(self._card(noted), is_stopped=False)

    def _card(self, noted: str) -> SessionCard | None:
        with suppress(OSError, SessionError):
            return next((one.card() for one in sessions_in(self._root) if _hash(one.path.name) == noted), None)
        return None


def _notes() -> Path | None:
    """Where notes are, for the owner only; None: nowhere, or somebody else made it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "mmal_ros" if runtime else Path(tempfile.gettempdir()) / f"mmal_ros-{os.getuid()}"
    with suppress(OSError):
        found = private_folder(folder).lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & OTHERS:
            return folder
    return None


def _entries(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from list(folder.iterdir())


def _since(pid: int | str) -> str:
    """When a process began, in clock ticks since the computer did; empty: there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[SINCE]
    except (OSError, IndexError):
        return ""


def _boot() -> str:
    """Names this run of the computer."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
