"""Arrays out of an NPZ file that anybody may have made: without pickles, and not more than fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

LARGEST_BYTES = 4 << 30
"""Unpacked: thirty hours of all features."""


class NpzError(ValueError):
    """A file that is no NPZ, or not a whole one; the message says why, without its name."""


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file, by name; raises NpzError."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:  # np.load leaks a damaged file
            return _content(file)
    except OSError as error:
        raise NpzError(error.strerror or str(error)) from error
    except Exception as error:  # NumPy and zipfile raise whatever they stumble over
        raise NpzError(str(error) or type(error).__name__) from error


def _content(file: NpzFile) -> dict[str, NDArray[Any]]:
    unpacked = sum(member.file_size for member in file.zip.infolist())
    if unpacked > LARGEST_BYTES:
        raise NpzError(f"it unpacks to {unpacked:,} bytes, more than {LARGEST_BYTES:,}")
    return {name: _array(file, name) for name in file.files}


def _array(file: NpzFile, name: str) -> NDArray[Any]:
    array = file[name]
    if not isinstance(array, np.ndarray):
        raise NpzError(f"'{name}' is no array")
    return array
