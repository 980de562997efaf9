"""Files and folders on the command line are looked at before anything begins, and not after minutes of work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mmal_ros.cli.errors import fail
from mmal_ros.wording import why


def folder(path: Path | None) -> Path | None:
    """Option callback: a folder, or what can become one; one that is not there yet may come later."""
    if path is not None:
        _check_ancestors(path)
        if _exists(path) and not path.is_dir():
            fail(f"{path} is no folder; name a folder, or a place where one can be made")
    return path


def input_folder(path: Path | None) -> Path | None:
    """Option callback: a folder that is there."""
    if path is not None and not _is_there(path, Path.is_dir):
        fail(f"{path} is no folder; name one that is there")
    return path


def input_file(path: Path | None) -> Path | None:
    """Option callback: a file that is there and can be read; a pipe, for which one would wait, is none."""
    if path is None:
        return None
    if not _is_there(path, Path.is_file):
        fail(f"there is no file {path}; name one that is there")
    _check_first_byte(path)
    return path


def output_file(path: Path | None) -> Path | None:
    """Option callback: a file that can be written, in a folder that is there."""
    if path is None:
        return None
    _check_ancestors(path)
    if not path.parent.is_dir():
        fail(f"the folder {path.parent} is not there; make it first, or write elsewhere")
    if _exists(path) and not path.is_file():
        fail(f"{path} is there and no file; give it another name")
    return path


def new_place(path: Path) -> Path:
    """Option callback: where nothing is yet, in a folder that is there."""
    if _exists(path):
        fail(f"{path} is there already; give it another name")
    output_file(path)
    return path


def _check_first_byte(path: Path) -> None:
    """Whether it can be read: who reads all of it may take a failing disk for a file of another kind."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        fail(f"{path} cannot be read: {why(error)}")


def _check_ancestors(path: Path) -> None:
    """Whether something can be written to the nearest folder above that is there."""
    place = next(above for above in (path.absolute().parent, *path.absolute().parents) if _exists(above))
    if not place.is_dir():
        fail(f"{path} cannot be: {place} is no folder")
    if not os.access(place, os.W_OK):
        fail(f"nothing can be written to {place}; write elsewhere")


def _exists(path: Path) -> bool:
    """Also a link to nowhere; refuses a name that no file can have."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        fail(f"{path} cannot be the name of a file: {error}")
    return True


def _is_there(path: Path, is_such: Callable[[Path], bool]) -> bool:
    try:
        return is_such(path)
    except (OSError, ValueError):  # too long, or with a NUL
        return False
