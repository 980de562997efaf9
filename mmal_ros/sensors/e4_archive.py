"""The files of an E4 export, out of a folder, a .zip or a .tar.gz: only into memory, never onto the disk."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from mmal_ros.files import unzipped
from mmal_ros.sensors.source import SourceError
from mmal_ros.wording import why

SIGNAL_FILES = ("ACC.csv", "BVP.csv", "EDA.csv", "TEMP.csv", "IBI.csv")
TAGS_FILE = "tags.csv"
MOST_BYTES = 256 * 1024 * 1024
"""The memory of an E4 holds 60 hours: 180 MB of CSV. What unpacks to more is no recording but a bomb."""
_DAMAGED_ZIP = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, NotImplementedError, RuntimeError,
)  # fmt: skip
_DAMAGED_TAR = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, OverflowError, RecursionError)
"""What the standard library raises about damaged archives."""
ENDINGS = (".zip", ".tar.gz", ".tgz")


def read_export(path: Path) -> dict[str, bytes]:
    """The content of the files of an E4 export, by `SIGNAL_FILES` and `TAGS_FILE` (exports call it tags_S05.csv, too).

    Raises:
        SourceError: when there is no such path, it is not an export or holds several, or the archive is damaged,
            too large, or has members that point out of it.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder; expected the folder or archive of an E4 export")
    if path.is_dir():
        members = _in_folder(path)
    elif path.name.lower().endswith(ENDINGS):
        members = _in_zip(path) if path.name.lower().endswith(".zip") else _in_tar(path)
    else:
        raise SourceError(
            f"{path.name} is a single file of another kind; an E4 export is a folder, a .zip or a .tar.gz "
            f"with {', '.join(SIGNAL_FILES)}"
        )
    try:
        return _pick(members, path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {why(error)}") from error


def _pick(members: Iterator[tuple[str, bytes]], path: Path) -> dict[str, bytes]:
    found: dict[str, tuple[str, bytes]] = {}
    for member, content in members:
        name = _export_name(member)
        if name in found:
            raise SourceError(
                f"{path.name} holds more than one E4 recording ({found[name][0]} and {member}): give one of them"
            )
        if name:
            found[name] = (member, content)
    if not found.keys() & set(SIGNAL_FILES):
        raise SourceError(f"{path.name} is no E4 export: it has none of {', '.join(SIGNAL_FILES)}{_advice(path)}")
    return {name: content for name, (_, content) in found.items()}


def _export_name(member: str) -> str:
    """Which file of an export this is; empty: none that is read."""
    name = PurePosixPath(member).name
    if name.startswith("tags") and name.endswith(".csv"):
        return TAGS_FILE
    return name if name in SIGNAL_FILES else ""


def _advice(folder: Path) -> str:
    if not folder.is_dir():
        return ""
    inside = sorted(file.relative_to(folder) for name in SIGNAL_FILES for file in folder.glob(f"*/{name}"))
    archives = sorted(file.relative_to(folder) for file in folder.iterdir() if file.name.endswith(ENDINGS))
    meant = [file.parent for file in inside] + archives
    return f"; did you mean {folder / meant[0]}?" if meant else ""


def _in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.iterdir()):
        if _export_name(file.name) and file.is_file():
            _check_size(file.stat().st_size, folder)
            yield file.name, file.read_bytes()


def _in_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(sum(member.file_size for member in archive.infolist()), path)
            for member in archive.infolist():
                _check_member(member.filename, stat.S_ISLNK(member.external_attr >> 16), path)
                if _export_name(member.filename):
                    yield member.filename, unzipped(archive, member)
    except _DAMAGED_ZIP as error:
        raise SourceError(f"{path.name} cannot be unpacked ({error}); copy it again from its origin") from error


def _in_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with gzip.open(path) as packed:
            unpacked = packed.read(MOST_BYTES + 1)
        _check_size(len(unpacked), path)
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            for member in archive:
                _check_member(member.name, not (member.isreg() or member.isdir()) or member.issparse(), path)
                file = archive.extractfile(member) if _export_name(member.name) else None
                if file is not None:
                    yield member.name, file.read()
    except _DAMAGED_TAR as error:
        raise SourceError(f"{path.name} cannot be unpacked ({error}); copy it again from its origin") from error


def _check_size(size: int, path: Path) -> None:
    if size > MOST_BYTES:
        raise SourceError(
            f"{path.name} unpacks to more than {MOST_BYTES // 1024**2} MiB, which no E4 can record; refused"
        )


def _check_member(name: str, is_link: bool, path: Path) -> None:
    place = PureWindowsPath(name)  # knows both kinds of slash, and drives
    if is_link or place.anchor or ".." in place.parts:
        raise SourceError(f"{path.name} has the member {name!r}, a link or a path that points out of it; refused")
