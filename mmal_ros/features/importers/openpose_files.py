"""Where OpenPose's JSON files lie: a folder, a .tar.gz or a .zip. Nothing is unpacked to the disk.

An archive may come from anybody: members that point outside it, links, devices, encrypted members and more than
`LARGEST_ARCHIVE` bytes are refused.
"""

from __future__ import annotations

import gzip
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mmal_ros.features.importers.errors import FeatureFileError, shown
from mmal_ros.features.importers.recognise import hint
from mmal_ros.files import unzipped
from mmal_ros.wording import why

LARGEST_FRAME = 4 << 20
"""Bytes of one JSON file; BODY_25 with face and hands has about 5,000 a person."""
LARGEST_ARCHIVE = 2 << 30
"""Bytes unpacked: sixteen hours of one person at 30 pictures a second (1,200 bytes each)."""
_DAMAGED = (
    OSError, EOFError, ValueError, OverflowError, RuntimeError, NotImplementedError,
    tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What the standard library raises about damaged archives."""


class _Member(NamedTuple):
    name: str
    size: int
    is_plain: bool
    """No link, no device, no password."""
    read: Callable[[], bytes]
    """Only until the next member is asked for."""


def json_names(path: Path) -> list[str]:
    """The names of all JSON files, relative to the folder or the archive.

    Raises:
        FeatureFileError: this is no folder and no archive, or one that we will not open.
    """
    return [member.name for member in _checked_members(path) if _is_json(member.name)]


def read_json(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the wanted files, in the order in which they lie there.

    Raises:
        FeatureFileError: damaged, or too large.
    """
    for member in _checked_members(path):
        if member.name in wanted:
            if member.size > LARGEST_FRAME:
                raise FeatureFileError(path / member.name, f"{member.size:,} bytes are too many for one frame")
            with _readable(path):
                content = member.read()
            yield member.name, content


def _is_json(name: str) -> bool:
    """The Mac's archives hold a shadow `._name` of every file."""
    return name.endswith(".json") and not name.rpartition("/")[2].startswith("._")


def _checked_members(path: Path) -> Iterator[_Member]:
    with _readable(path):
        for member in _members(path):
            parts = re.split(r"[/\\]", member.name)
            if ".." in parts or not parts[0] or parts[0].endswith(":"):
                raise FeatureFileError(path, f"refused: the member {shown(member.name)} points outside the archive")
            if not member.is_plain:
                raise FeatureFileError(path, f"refused: the member {shown(member.name)} is no plain, readable file")
            yield member


def _members(path: Path) -> Iterator[_Member]:
    if path.is_dir():
        return _in_folder(path)
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"PK\x03\x04":
        return _in_zip(path)
    if magic.startswith(b"\x1f\x8b"):
        return _in_tar(path)
    raise FeatureFileError(path, hint(path) + "expected a folder, a .tar.gz or a .zip with OpenPose's JSON files")


def _in_folder(path: Path) -> Iterator[_Member]:
    for file in sorted(path.rglob("*.json")):
        yield _Member(file.relative_to(path).as_posix(), file.stat().st_size, file.is_file(), file.read_bytes)


def _in_zip(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > LARGEST_ARCHIVE:
            raise _too_large(path)
        for info in archive.infolist():
            is_link = stat.S_ISLNK(info.external_attr >> 16)
            is_encrypted = bool(info.flag_bits & 1)
            if not info.is_dir():
                read = _reader(archive, info)
                yield _Member(info.filename, info.file_size, not is_link and not is_encrypted, read)


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    return lambda: unzipped(archive, info)


def _in_tar(path: Path) -> Iterator[_Member]:
    with gzip.open(path) as unpacked, _opened_tar(_Bounded(path, unpacked)) as archive:
        for info in archive:
            if not info.isdir():
                yield _Member(info.name, info.size, info.isreg() and not info.issparse(), _extractor(archive, info))


def _opened_tar(stream: _Bounded) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|")  # type: ignore[call-overload, no-any-return]


def _extractor(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        file = archive.extractfile(info)
        return file.read() if file else b""

    return read


class _Bounded:
    """Reads at most `LARGEST_ARCHIVE` bytes: some kilobytes can unpack to terabytes."""

    def __init__(self, path: Path, file: gzip.GzipFile) -> None:
        self._path = path
        self._file = file
        self._left = LARGEST_ARCHIVE

    def read(self, size: int) -> bytes:
        """The next bytes."""
        block = self._file.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise _too_large(self._path)
        return block


def _too_large(path: Path) -> FeatureFileError:
    return FeatureFileError(path, f"unpacks to more than {LARGEST_ARCHIVE:,} bytes: unpack it and give the folder")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FeatureFileError:
        raise
    except _DAMAGED as error:
        reason = why(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        raise FeatureFileError(path, f"cannot be read: {reason}") from error
