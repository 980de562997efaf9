"""Arrays out of an NPZ file that anybody may have made: without pickles, and not more than fits."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from mmal_ros.files import opened_member
from mmal_ros.wording import why

LARGEST_BYTES = 4 << 30
"""Unpacked: thirty hours of all features."""


class NpzError(ValueError):
    """A file that is no NPZ, or not a whole one; the message says why, without its name."""


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file, by name; raises NpzError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _content(archive)
    except OSError as error:
        raise NpzError(why(error)) from error
    except Exception as error:  # NumPy and zipfile raise whatever they stumble over
        raise NpzError(str(error) or type(error).__name__) from error


def _content(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > LARGEST_BYTES:
        raise NpzError(f"it unpacks to {unpacked:,} bytes, more than {LARGEST_BYTES:,}")
    return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Piece by piece, unlike np.load: what is no array, or packs more than it says, is never unpacked as a whole."""
    with opened_member(archive, member) as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise NpzError(f"'{member.filename.removesuffix('.npy')}' is no array")
        file.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)  # type: ignore[no-untyped-call]
        if file.read(1):  # only at the end the checksum is compared
            raise NpzError(f"'{member.filename.removesuffix('.npy')}' has more than its array")
        return array
