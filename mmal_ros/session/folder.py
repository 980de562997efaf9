"""The folder of a session: where its parts are, how one is made, which ones there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from os.path import isfile
from pathlib import Path

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.files import PRIVATE_FOLDER, private_folder
from mmal_ros.paths import path_of
from mmal_ros.session.card import CARD_NAME, SessionCard, SessionError, checked_code, read_session_card
from mmal_ros.wording import meant, why


@dataclass(frozen=True, slots=True)
class SessionFolder:
    """One session on disk."""

    path: Path

    @property
    def name(self) -> str:
        """Of the session."""
        return self.path.name

    @property
    def bag(self) -> Path:
        """Folder of the rosbag2 recording."""
        return self.path / "bag"

    @property
    def clips(self) -> Path:
        """Folder of the clips."""
        return self.path / "clips"

    @property
    def labels(self) -> Path:
        """The SQLite file of flags and labels."""
        return self.path / "labels.sqlite"

    def card(self) -> SessionCard:
        """Read session.json; raises SessionError."""
        return read_session_card(self.path)

    def clip_of(self, window_id: int) -> Path:
        """Where the clip of a flagged window belongs."""
        return self.clips / f"{window_id}.mp4"


def new_session(root: Path, participant: str, start_ns: int) -> SessionFolder:
    """Make the folder of the next session of a participant: DATE_CODE_NUMBER, readable by its owner only.

    Raises:
        SessionError: the code is none, or the folder cannot be made.
    """
    checked_code(participant)
    date = datetime.fromtimestamp(start_ns / NANOSECONDS_PER_SECOND, UTC).date().isoformat()
    try:
        private_folder(root)
        for number in range(1, 1000):
            folder = SessionFolder(root / f"{date}_{participant}_{number:02d}")
            try:
                folder.path.mkdir(mode=PRIVATE_FOLDER)
            except FileExistsError:
                continue
            for part in (folder.bag, folder.clips):
                part.mkdir(mode=PRIVATE_FOLDER)
            return folder
    except OSError as error:
        raise SessionError(f"no session can be written to {root}: {why(error)}") from error
    raise SessionError(f"{root} has a thousand sessions of {participant} on {date}")


def open_session_folder(name: str, root: Path) -> SessionFolder:
    """A session by its path, or by its name below `root`; raises SessionError."""
    for path in (path_of(name), root / name):
        if isfile(path / CARD_NAME):
            return SessionFolder(path)
    there = [session.name for session in sessions_in(root)]
    hint = meant(name, there) or f"there are {', '.join(there[-5:])}"
    raise SessionError(f"'{name}' is no session; {hint if there else f'there are no sessions in {root} yet'}")


def sessions_in(root: Path) -> Iterator[SessionFolder]:
    """The sessions below a folder, by name, so by date; what has no card is none, or what may not be entered."""
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if isfile(path / CARD_NAME):
            yield SessionFolder(path)
