"""Sentences that several commands say alike."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Sequence

_ADDRESS = re.compile(r"//([^\s/?#'\"]*)([^\s'\"]*)")
"""What follows the scheme: the authority, and the rest."""
_PLAIN_PATH = re.compile(r"[\w./-]*")
_BARE_PASSWORD = re.compile(r"[^\s/@:'\"]+:[^\s/@'\"]+@(?=[\w.])")

_FULL = "make room on the disk"
_NO_RIGHT = "give this account the right to it, or name another one"
_FAILING = "look at its disk, or copy it again from its origin"
_REMEDIES = {
    errno.ENOENT: "look how it is spelt, and whether its disk is there",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "let its disk be written to, or name another one",
    errno.EIO: _FAILING,
    errno.ESTALE: _FAILING,
    errno.ENODEV: _FAILING,
    errno.EMFILE: "allow more open files: ulimit -n 4096",
}
"""What to do about what the system has against a file."""


def without_password(text: str) -> str:
    """The same, with no more of each address such as rtsp://name:password@host/path than its host and a plain path.

    Cameras also take passwords in path and query, and people write some with '/' or '@', or forget the '//'.
    """
    return _BARE_PASSWORD.sub("", _ADDRESS.sub(_without_password, text))


def _without_password(address: re.Match[str]) -> str:
    authority, rest = address.groups()
    if "@" in rest:  # then what comes before the '/' may be half a password
        return "//…"
    return f"//{authority.rpartition('@')[2]}{rest if _PLAIN_PATH.fullmatch(rest) else '/…'}"


def meant(name: str, known: Sequence[str]) -> str:
    """Which of them was probably meant, as a question; empty: none is near."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no `what` of that name, and which was probably meant, or which there are."""
    there = list(known)
    hint = meant(name, there) or f"choose from {', '.join(there)}"
    return f"there is no {what} '{name}'; {hint}"


def why(error: OSError) -> str:
    """What the system has against a file, and what can be done about it where that is known."""
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{error.strerror or error}; {remedy}" if remedy else str(error.strerror or error)
