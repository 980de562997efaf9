"""Away with a session, or with everything of a participant: what would go, and that it goes.

Files are unlinked and their folders synchronised, not overwritten: a solid-state disk, and many a file system, writes
new content elsewhere, so overwriting would prove nothing. What was in them stays in free blocks of the disk until these
are written again or trimmed (`fstrim`, weekly on most systems), names of folders also in the file system's journal.
Who must be sure keeps the sessions on an encrypted disk.
What was exported or copied elsewhere is not known here. A group's model does not forget one of its children: that is
told.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmal_ros.model_card import CARD_NAME as MODEL_CARD_NAME
from mmal_ros.model_versions import LOCK_NAME
from mmal_ros.session.bag import LOCK_FILE, claimed, sync_folder
from mmal_ros.session.card import CARD_NAME, SessionError, checked_code, read_session_card
from mmal_ros.session.folder import SessionFolder
from mmal_ros.wording import meant, why

ATTEMPTS = 10
"""A page that is open may write a label while the session goes; that goes with the next attempt."""
CHANGED_MEANWHILE = (errno.ENOTEMPTY, errno.ENOENT)
"""By such a page: something came, or took the place of another file and is not there any more."""
_FOLDER_NAME = re.compile(r"\d{4}-\d\d-\d\d_(.+)_\d+")


@dataclass(frozen=True, slots=True)
class Doomed:
    """A folder that would go, with all that is in it."""

    path: Path
    what: str
    """`session`, `model sets` or `cache`."""
    files: int
    size: int
    """In bytes; a clip that several sessions share counts in each."""


def doomed_session(folder: SessionFolder) -> Doomed:
    """What would go with a session; raises SessionError where it is a link."""
    return _doomed(folder.path, "session")


def doomed_of(participant: str, sessions: Path, models: Path, cache: Path) -> list[Doomed]:
    """What would go with a participant: all sessions, also broken ones, the models learned from them, and the cache.

    Args:
        participant: the code.
        sessions: folder of the sessions.
        models: folder of the personal model sets.
        cache: `paths.cache_folder`, where nothing tells whose windows are whose.

    Raises:
        SessionError: there is nothing, or a part of it is a link.
    """
    checked_code(participant)
    found = [_doomed(path, "session") for path in _folders(sessions) if participant in owners(path)]
    personal = models / participant
    if personal.is_dir() or personal.is_symlink():
        found.append(_doomed(personal, "model sets"))
    if not found:
        near = meant(participant, sorted({code for path in _folders(sessions) for code in owners(path)}))
        kept = f"; in {cache} nothing tells whose it is: remove it by hand to be sure" if cache.is_dir() else ""
        raise SessionError(f"there is nothing of {participant} in {sessions} or {models}{near and f'; {near}'}{kept}")
    return found + doomed_cache(cache)


def doomed_cache(cache: Path) -> list[Doomed]:
    """What evaluations keep: nothing in it tells whose windows are whose, so it goes with whatever goes."""
    return [_doomed(cache, "cache")] if cache.is_dir() else []


def groups_with(participant: str, folders: Iterable[Path]) -> list[Path]:
    """Model sets of others whose cards name somebody: they learned from her, or were tested on her.

    Args:
        participant: the code.
        folders: of model sets, as `models/NAME/VERSION`.
    """
    named = re.compile(rf"(?<![A-Za-z0-9-]){re.escape(participant)}(?![A-Za-z0-9-])")
    cards = (card for folder in folders for card in sorted(folder.glob(f"*/*/{MODEL_CARD_NAME}")))
    others = (card for card in cards if card.parent.parent.name != participant)
    return [card.parent for card in others if named.search(card.read_text(errors="replace"))]


def unfinished_trainings(folders: Iterable[Path]) -> list[Path]:
    """Folders of trainings that were cut off; nothing in them tells whose windows they have."""
    return [work for folder in folders for work in sorted(folder.glob("*/.*.work"))]


def ownerless(sessions: Path) -> list[Path]:
    """Folders that tell nobody's code any more: whose they are has to be seen by a person."""
    return [path for path in _folders(sessions) if not owners(path)]


def owners(path: Path) -> set[str]:
    """Whose a session is, by its card and by the name of its folder."""
    named = _FOLDER_NAME.fullmatch(path.name)
    found = {named[1]} if named else set()
    try:
        return found | {read_session_card(path).participant}
    except SessionError:
        return found


def is_recording(folder: SessionFolder) -> bool:
    """Whether a process is writing, or mending, this session right now; its last clips come after its bag."""
    return any(_is_claimed(part) for part in (folder.path, folder.bag))


def _is_claimed(folder: Path) -> bool:
    """Without leaving a trace: what a recorder that died left there tells that something is unfinished."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def delete(doomed: Sequence[Doomed]) -> None:
    """Remove all of it, or nothing where one of them is being recorded.

    The card goes last: a removal that is cut off leaves a session that can still be named, and removed again.

    Raises:
        SessionError: a session is being recorded, a model is being learned, or something cannot be removed.
    """
    for one in doomed:
        if is_recording(SessionFolder(one.path)):
            raise _being_recorded(one.path)
    with ExitStack() as claims:
        for one in doomed:
            claims.enter_context(_nobody_writes(one.path))
            for part in (one.path, SessionFolder(one.path).bag):
                if part.is_dir() and not claims.enter_context(_claimed_for_now(part)):
                    raise _being_recorded(one.path)  # since a moment ago
        for one in doomed:
            try:
                _remove(one.path)
            except OSError as error:
                raise SessionError(f"{error.filename} cannot be removed: {why(error)}") from error


def _being_recorded(folder: Path) -> SessionError:
    return SessionError(f"{folder.name} is being recorded; stop the recording first. Nothing was removed")


@contextmanager
def _claimed_for_now(folder: Path) -> Iterator[bool]:
    """As `claimed`, but a lock's file that was not there before is not there afterwards, whatever happens.

    Else a session that stays would be taken for cut off, and its clips for lost.
    """
    unfinished = (folder / LOCK_FILE).exists()
    with claimed(folder) as free:
        try:
            yield free
        finally:
            if free and not unfinished:
                (folder / LOCK_FILE).unlink(missing_ok=True)


@contextmanager
def _nobody_writes(folder: Path) -> Iterator[None]:
    """While this lasts nobody can begin to personalise there; raises SessionError where somebody is at it."""
    lock = folder / LOCK_NAME
    if not lock.is_file():
        yield
        return
    with lock.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SessionError(
                f"{folder.name} is being personalised; wait until that is finished. Nothing was removed"
            ) from None
        yield


def _remove(folder: Path) -> None:
    for remaining in reversed(range(ATTEMPTS)):
        try:
            _empty(folder)
            folder.rmdir()
            break
        except OSError as error:
            if error.errno not in CHANGED_MEANWHILE or not remaining:
                raise
    sync_folder(folder.parent)


def _empty(folder: Path) -> None:
    for part in sorted(folder.iterdir(), key=lambda path: path.name == CARD_NAME):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)  # SQLite takes its own scratch files away


def _doomed(path: Path, what: str) -> Doomed:
    if path.is_symlink():
        raise SessionError(f"{path} is a link to {path.readlink()}; remove by hand what it points to, then the link")
    files = [file for file in path.rglob("*") if file.is_symlink() or file.is_file()]
    return Doomed(path, what, len(files), sum(file.lstat().st_size for file in files))


def _folders(sessions: Path) -> Iterator[Path]:
    return (path for path in (sorted(sessions.iterdir()) if sessions.is_dir() else ()) if path.is_dir())
