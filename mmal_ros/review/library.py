"""The sessions that may be seen: by name, and nothing beside them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from mmal_ros.review.answers import NotThereError
from mmal_ros.session.card import CARD_NAME
from mmal_ros.session.folder import SessionFolder, sessions_in
from mmal_ros.session.records import Flag, Label
from mmal_ros.session.salvage import settle
from mmal_ros.session.store import SessionStore

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A file name that leads nowhere else, and is not hidden."""


class Library:
    """All sessions of a folder, or only some of them."""

    def __init__(self, root: Path, only: Collection[str] = ()) -> None:
        self._root = root
        self._only = frozenset(only)

    def sessions(self) -> list[SessionFolder]:
        """All of them, by name."""
        return [folder for folder in sessions_in(self._root) if self._has(folder.name)]

    def session(self, name: str) -> SessionFolder:
        """One of them; raises NotThereError."""
        folder = SessionFolder(self._root / name)
        if not self._has(name) or not (folder.path / CARD_NAME).is_file():
            raise NotThereError("There is no session of that name; the list of sessions has those that there are.")
        return folder

    def _has(self, name: str) -> bool:
        return NAME.fullmatch(name) is not None and (not self._only or name in self._only)


def said_of(folder: SessionFolder) -> tuple[list[Flag], list[Label]]:
    """Flags and standing labels of a session; one without the file has none. Raises SessionError."""
    if not folder.labels.exists():
        return [], []
    settle(folder)
    with SessionStore(folder.labels) as store:
        return store.flags(), store.standing_labels()


def flag_of(flags: Iterable[Flag], window_id: int) -> Flag:
    """The flag of a window; raises NotThereError."""
    for flag in flags:
        if flag.window_id == window_id:
            return flag
    raise NotThereError("This window is not flagged in this session.")
