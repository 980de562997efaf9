"""The one error of every importer, and the sentence about missing columns."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

NAMED_AT_MOST = 5
"""So many missing columns are named; the rest are counted."""
COMPARED_AT_MOST = 1000
"""So many columns are searched for what was meant: OpenFace has 714, and the search takes about 20 us for each."""
SHOWN_CHARACTERS = 40


class FeatureFileError(ValueError):
    """A file is not what the importer reads; the message says where, what was found, and what would be right."""

    def __init__(self, path: Path, problem: str, *, line: int | None = None, column: str | None = None) -> None:
        self.path = path
        self.line = line
        """1 is the first line of a text file, and the first row of a Parquet file."""
        self.column = column
        place = str(path) + (f", line {line}" if line else "") + (f", column {column!r}" if column else "")
        super().__init__(f"{place}: {problem}")


def shown(found: object) -> str:
    """What stands in the file, short enough for one sentence, with invisible characters made visible."""
    text = repr(found)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def missing_columns(wanted: Sequence[str], present: Sequence[str]) -> str:
    """One sentence: which wanted columns are not there, and what may have been meant; empty if all are there."""
    there, needed = set(present), set(wanted)
    missing = [name for name in wanted if name not in there]
    if not missing:
        return ""
    rest = len(missing) - NAMED_AT_MOST
    listed = ", ".join(missing[:NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")
    spare = [name for name in present if name not in needed][:COMPARED_AT_MOST]
    meant = [near for name in missing[:NAMED_AT_MOST] for near in get_close_matches(name, spare, n=1, cutoff=0.8)]
    guess = f"; did you mean {', '.join(dict.fromkeys(meant))}?" if meant else ""
    return f"{len(missing)} of {len(wanted)} columns are missing: {listed}{guess}"
