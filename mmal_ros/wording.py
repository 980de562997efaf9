"""Sentences that several commands say alike."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence


def without_password(address: str) -> str:
    """An address such as rtsp://name:password@host/path without what stands before the host."""
    return re.sub(r"//[^/@]*@", "//", address)


def meant(name: str, known: Sequence[str]) -> str:
    """Which of them was probably meant, as a question; empty: none is near."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no `what` of that name, and which was probably meant, or which there are."""
    there = list(known)
    hint = meant(name, there) or f"choose from {', '.join(there)}"
    return f"there is no {what} '{name}'; {hint}"
