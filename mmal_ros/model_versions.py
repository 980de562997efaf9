"""The versions of a model: which there are, which one is live, what was live before it, and how two of them differ.

    models/<name>/current   the live version, one line; what is running takes it over when it changes
    models/<name>/history   every switch, one line each: when, `use` or `rollback`, version; only added to

Functions take `folder`, which is models/<name>, of a participant or of a model that comes along, and raise ModelError:
one sentence that says what would help.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os.path import isfile
from pathlib import Path
from typing import IO, Any

from mmal_ros.files import open_private
from mmal_ros.model_card import CARD_NAME, CURRENT_NAME, ModelCard, ModelError, make_current, read_card
from mmal_ros.models import load_model_set
from mmal_ros.paths import model_folders, path_of, personal_models_folder
from mmal_ros.wording import unknown, why

HISTORY_NAME = "history"
LOCK_NAME = ".lock"
"""Locked by the process that writes versions."""
USE, ROLLBACK = "use", "rollback"
LONGEST_LIST = 8
"""Of a longer list in a card only its length is told."""
OF_THE_WEIGHTS = {"features", "mean", "deviation", "sha256"}
"""What differs whenever a file does."""
MANY = {"by_person", "learned_from"}
"""Tables in a card, of which only the length is told."""


@dataclass(frozen=True, slots=True)
class Version:
    """What its card says of a version; plain values, as JSON has them."""

    name: str
    """Of its folder: what `use` takes."""
    current: bool
    """Whether it is live."""
    identity: str = ""
    """name/version, as estimates give it."""
    parent: str | None = None
    created: str = ""
    accepted: bool | None = None
    """Whether it was better than what was in use; None: nobody compared them."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    """Why the card cannot be read; empty: it can."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which two cards differ; None: it is not there."""

    field: str
    before: Any
    after: Any


def versions(folder: Path) -> list[Version]:
    """All versions: those that came from elsewhere first, then by number."""
    _check_model(folder)
    live = current(folder)
    return [_version(folder / name, live) for name in _names(folder)]


def current(folder: Path) -> str | None:
    """The live version; None: there is none yet."""
    try:
        return (folder / CURRENT_NAME).read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder / CURRENT_NAME} cannot be read: {error}") from error


def use(folder: Path, version: str) -> None:
    """Make a version the live one, if it loads; what is live stays where it does not."""
    _switch(version_folder(folder, version), USE)


def rollback(folder: Path) -> str:
    """Make the version live that was live before, and return its name.

    Again and again, this ends at what the first version was made from.
    """
    _check_model(folder)
    earlier = next(_earlier(folder), None)
    if earlier is None:
        there = ", ".join(_names(folder))
        raise ModelError(f"{folder.name}: nothing was live before {current(folder)}; its versions are {there}")
    _switch(folder / earlier, ROLLBACK)
    return earlier


def diff(before: Path, after: Path) -> list[Difference]:
    """Where the cards of two versions differ, field by field; both are models/<name>/<version>.

    What follows from the weights is left out; whether files differ is said of each file: see `fields`.
    """
    one, other = fields(read_card(before)), fields(read_card(after))
    names = dict.fromkeys([*one, *other])
    return [Difference(name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)]


def fields(card: ModelCard) -> dict[str, Any]:
    """What a card says, as `a.b.c`: value; without what only repeats the files, and of long lists their length only."""
    return dict(_flat(card.model_dump(mode="json")))


def known_models() -> dict[str, Path]:
    """Folders of all models by name: the participants', then those that come along."""
    found: dict[str, Path] = {}
    for root in (personal_models_folder(), *model_folders()):
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if _names(folder):
                found.setdefault(folder.name, folder)
    return found


def model_folder(name: str) -> Path:
    """The folder of a model, by its name or path."""
    path = path_of(name)
    if _names(path):
        return path
    known = known_models()
    if name in known:
        return known[name]
    if (path / CARD_NAME).is_file():
        raise ModelError(f"{path} is one version; expected the folder of the model, {path.resolve().parent}")
    raise ModelError(unknown("model", name, known) if known else f"there is no model '{name}', and no other either")


def version_folder(folder: Path, version: str) -> Path:
    """The folder of a version of a model."""
    _check_model(folder)
    if version not in _names(folder):
        raise ModelError(unknown(f"version of {folder.name}", version, _names(folder)))
    return folder / version


def next_version(folder: Path) -> str:
    """The next number that is not taken."""
    taken = [int(name) for name in _names(folder) if name.isdigit()]
    return str(max(taken, default=0) + 1)


# --- which there are ---------------------------------------------------------------------------------------------


def _names(folder: Path) -> list[str]:
    """Versions by name; hidden folders are not finished."""
    if not folder.is_dir():
        return []
    names = [p.name for p in folder.iterdir() if not p.name.startswith(".") and isfile(p / CARD_NAME)]
    return sorted(names, key=lambda name: (name.isdigit(), int(name) if name.isdigit() else 0, name))


def _check_model(folder: Path) -> None:
    if not _names(folder):
        raise ModelError(f"{folder} is no model: there is no version in it")


def _version(folder: Path, live: str | None) -> Version:
    try:
        card = read_card(folder)
    except ModelError as error:
        return Version(folder.name, folder.name == live, problem=str(error))
    return Version(
        folder.name, folder.name == live, card.identity, card.parent, card.created, card.accepted, card.metrics
    )


# --- what was live -----------------------------------------------------------------------------------------------


def _switch(to: Path, action: str) -> None:
    """First the version, then the history: who dies in between is seen to have switched by hand."""
    load_model_set(to)
    folder, version = to.parent, to.name
    try:
        with os.fdopen(open_private(folder / HISTORY_NAME, os.O_WRONLY | os.O_APPEND), "a") as history:
            fcntl.flock(history, fcntl.LOCK_EX)
            for scrap in folder.glob(f".{CURRENT_NAME}.*.new"):
                scrap.unlink(missing_ok=True)  # of somebody who was killed
            live, switches = current(folder), [(action, version)]
            if live == version:
                return
            if live and _lived(folder)[-1:] != [live]:
                switches.insert(0, (USE, live))  # made live by hand, or by `mmal train`
            make_current(folder, version)
            _remember(history, switches)
    except OSError as error:
        state = "is live, but that is not in the history" if current(folder) == version else "is not live"
        raise ModelError(f"{folder} cannot be written to, so {version} {state}: {why(error)}") from error


def _remember(history: IO[str], switches: Sequence[tuple[str, str]]) -> None:
    """All of it, or nothing: half a line would run into the next one."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    before = os.fstat(history.fileno()).st_size
    try:
        history.writelines(f"{now}\t{action}\t{version}\n" for action, version in switches)
        history.flush()
        os.fsync(history.fileno())
    except OSError:
        os.ftruncate(history.fileno(), before)
        raise


def _earlier(folder: Path) -> Iterator[str]:
    """What can be gone back to, the last one first."""
    there, live = _names(folder), current(folder)
    lived = _lived(folder)
    if lived and lived[-1] == live:
        lived.pop()  # else somebody switched by hand
    yield from (version for version in reversed(lived) if version in there and version != live)
    with suppress(ModelError):  # the live one cannot be read, so nobody knows its parent
        parent = read_card(folder / str(live)).parent
        yield from (v.name for v in versions(folder) if v.identity == parent and v.name != live)


def _lived(folder: Path) -> list[str]:
    """Versions in the order in which they were made live, without what was taken back."""
    lived: list[str] = []
    path = folder / HISTORY_NAME
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        _, _, switch = line.partition("\t")
        action, _, version = switch.partition("\t")
        if not version:  # a power cut in the middle of a line
            continue
        if action == ROLLBACK and version in lived:
            while lived[-1] != version:
                lived.pop()
        else:
            lived.append(version)
    return lived


# --- how they differ ---------------------------------------------------------------------------------------------


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """(a.b.c, value) of everything in a card that somebody may want to compare."""
    if not isinstance(value, dict):
        yield place, f"{len(value)} entries" if isinstance(value, list) and len(value) > LONGEST_LIST else value
        return
    for name, inner in value.items():
        if name in MANY:
            inner = f"{len(inner)} entries"
        if name == "sha256":
            yield f"{place}.file", f"{value['file']} {inner[:12]}"
        elif name not in OF_THE_WEIGHTS and not (name == "file" and "sha256" in value):
            yield from _flat(inner, f"{place}.{name}" if place else name)
