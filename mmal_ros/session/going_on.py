"""What a recorder that died was doing, for the one that the same parent starts in its place.

It lies beside the sessions, as `.recorder-PARENT-SINCE-WHO`, and has no participant's code: only when the session began
that was being recorded, or that somebody had stopped it. Who ends in order takes it away, and so does any recorder that
finds one whose parent is gone: after a new start of everything nothing goes on by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmal_ros.files import write_atomically
from mmal_ros.session.card import SessionCard, SessionError
from mmal_ros.session.folder import sessions_in

PREFIX = ".recorder"
SINCE = 19
"""Place of the start time in /proc/PID/stat behind the name of the program (proc(5))."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What was going on."""

    start_ns: int | None
    """When the session that was being recorded began; None: somebody had stopped it."""


class GoingOn:
    """The note of one recorder. What cannot be written is not: the recording itself matters more."""

    def __init__(self, root: Path, who: str) -> None:
        """Take away the notes of those whose parents are gone.

        Args:
            root: folder of all sessions.
            who: what makes a recorder the same one again: its name and what it was told.
        """
        self._root = root
        parent, name = os.getppid(), hashlib.sha256(f"{_boot()} {who}".encode()).hexdigest()[:16]
        self._path = root / f"{PREFIX}-{parent}-{_since(parent)}-{name}"
        for note in root.glob(f"{PREFIX}-*-*-*"):
            _, pid, since, _ = note.name.split("-", 3)
            if _since(pid) != since:
                note.unlink(missing_ok=True)

    def remember(self, start_ns: int | None) -> None:
        """A session that began then is being recorded; None: somebody stopped it."""
        with suppress(OSError):
            write_atomically(self._path, json.dumps({"start_ns": start_ns}))

    def forget(self) -> None:
        """It ends in order."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def recall(self) -> Unfinished | None:
        """What was going on when the one before died; None: there was none."""
        try:
            start_ns = json.loads(self._path.read_text())["start_ns"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Unfinished(start_ns)

    def session(self, start_ns: int) -> SessionCard | None:
        """The session that began then; None: it was deleted."""
        for folder in sessions_in(self._root):
            with suppress(SessionError):
                if (card := folder.card()).start_ns == start_ns:
                    return card
        return None


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
