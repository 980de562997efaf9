"""Sentences that several commands say alike."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def without_password(address: str) -> str:
    """An address such as rtsp://name:password@host/path without what stands before the host."""
    return re.sub(r"//[^/@]*@", "//", address)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no `what` of that name, and which was probably meant, or which there are."""
    there = list(known)
    close = difflib.get_close_matches(name, there, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"choose from {', '.join(there)}"
    return f"there is no {what} '{name}'; {hint}"
