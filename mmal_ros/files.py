"""Files that appear as a whole, and that nobody else can read: whatever is written here may tell of a child."""

from __future__ import annotations

import os
import resource
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
OTHERS = 0o077
"""What of a file's rights is the group's and everybody's."""


def keep_private() -> None:
    """For the whole process and those it starts: nobody else reads what it writes, and no core dump has a picture."""
    os.umask(OTHERS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def private_folder(path: Path) -> Path:
    """Make a folder, and those above it that are not there, for the owner only, whatever the umask."""
    if not path.is_dir():
        private_folder(path.parent)
        path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    return path


def make_private(path: Path) -> None:
    """Let nobody but the owner read a file or folder."""
    os.chmod(path, PRIVATE_FOLDER if path.is_dir() else PRIVATE_FILE)


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file that nobody else can read: a new one from its first byte on, an old one from now on."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.fchmod(descriptor, PRIVATE_FILE)
    except OSError:  # as on a file system that has no rights
        os.close(descriptor)
        raise
    return descriptor


def opened_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """A member to be read piece by piece; each `read` with a size unpacks about so much, and no more.

    Raises:
        zipfile.BadZipFile: it is packed in a way that cannot be unpacked piece by piece, or is damaged.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"'{member.filename}' is packed in an unusual way: zip it anew")
    return archive.open(member)


def unzipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The content of a member, never more than it says it has: `archive.read` would first unpack all there is.

    Raises:
        zipfile.BadZipFile: it has more, is packed in a way that cannot be unpacked piece by piece, or is damaged.
    """
    with opened_member(archive, member) as file:
        return file.read(member.file_size)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of `path` when everything went well; when not, it is as it was."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")  # two processes may come to write the same file
    try:
        scratch.unlink(missing_ok=True)  # of somebody who was killed
        os.close(open_private(scratch, os.O_WRONLY | os.O_EXCL))
        yield scratch
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by this text, as a whole."""
    with replacing(path) as scratch:
        scratch.write_text(text)
