"""The folder of a participant's models: what she is personalised from lies in it, and one process at a time writes it.

    models/<participant>/demo-2     a copy of the group's set that she is personalised from; live until one is better
    models/<participant>/1, 2, …    her own sets, each learned anew from the group and all her labels

Which of them is live, and what was before, is `mmal_ros.model_versions`'s to say.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmal_ros.files import make_private, open_private, private_folder
from mmal_ros.model_card import ModelError, read_card
from mmal_ros.model_versions import LOCK_NAME, current, use, versions
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.paths import find_model

DEFAULT_GROUP = "demo"


def group_to_start_from(folder: Path, name: str | None) -> ModelSet:
    """The group's set of that name or folder; without a name that of the last time, or the one that comes along."""
    if name is not None or current(folder) is None:
        return load_model_set(find_model(name or DEFAULT_GROUP))
    there = {version.identity: version for version in versions(folder)}
    newest = list(there.values())[-1]
    return load_model_set(folder / there.get(newest.parent or "", newest).name)


def installed(start: ModelSet, folder: Path) -> ModelSet:
    """The group's set in the participant's folder, live if nothing was: so one can always go back to it.

    Raises:
        ModelError: another set of that name and version is there already.
    """
    place = folder / f"{start.card.name}-{start.card.version}"
    if start.folder.parent == folder:
        return start
    if not place.exists():
        _copy(start.folder, place)
    elif read_card(place) != start.card:
        raise ModelError(f"{place} is another {start.card.identity} than {start.folder}: a version never changes")
    if current(folder) is None:
        use(folder, place.name)
    return load_model_set(place)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else writes versions into the folder, which is made if it is not there; raises ModelError.

    What a run that was killed, or met a full disk, left unfinished goes, before and after. So does a folder in which
    nothing was made: its name is her code, and she may have been deleted meanwhile.
    """
    private_folder(folder)
    with os.fdopen(open_private(folder / LOCK_NAME, os.O_WRONLY), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelError(f"{folder.name} is being personalised already; try again when that is finished") from None
        _remove_unfinished(folder)
        try:
            yield
        finally:
            _remove_unfinished(folder)
            _remove_unused(folder)


def make_files_private(folder: Path) -> None:
    """Let nobody but the owner read a version."""
    for path in (*folder.iterdir(), folder):
        make_private(path)


def _copy(version: Path, place: Path) -> None:
    """A version appears at another place, as a whole."""
    scratch = place.with_name(f".{place.name}.new")
    private_folder(scratch)
    for part in version.iterdir():
        shutil.copyfile(part, scratch / part.name)
    make_files_private(scratch)
    scratch.rename(place)


def _remove_unfinished(folder: Path) -> None:
    for unfinished in folder.glob(".*.new/"):
        shutil.rmtree(unfinished)


def _remove_unused(folder: Path) -> None:
    if [path.name for path in folder.glob("*")] == [LOCK_NAME]:
        (folder / LOCK_NAME).unlink(missing_ok=True)
        with suppress(OSError):  # somebody else is about to begin there
            folder.rmdir()
