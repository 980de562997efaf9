"""CSV: one row per label, `start_s,end_s,value,annotator,note`; seconds from the session's start, UTF-8."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from mmal_ros.session.card import SessionError
from mmal_ros.session.exchange.coding import Coding
from mmal_ros.session.exchange.spans import LONGEST_MS, Said, Span
from mmal_ros.wording import why

NEEDED = ("start_s", "end_s", "value")
OPTIONAL = ("annotator", "note")


def write_csv(path: Path, coding: Coding) -> None:
    """Write the standing labels of a session."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow((*NEEDED, *OPTIONAL))
        for label in coding.labels:
            span, value = coding.span(label), label.value or ""
            rows.writerow((_seconds(span.start_ms), _seconds(span.end_ms), value, label.annotator, label.note))


def read_csv(path: Path, annotator: str) -> list[Said]:
    """What a table says of a session, without the rows of other coders.

    Raises:
        SessionError: a column is missing or unknown, or a cell is none; the message names file and line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            _check_header(path, rows.fieldnames)
            said = [(row, rows.line_num) for row in rows if (row.get("annotator") or annotator) == annotator]
    except OSError as error:
        raise SessionError(f"{path} cannot be read: {why(error)}") from error
    except UnicodeDecodeError as error:
        raise SessionError(f"{path} is no UTF-8 text; save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise SessionError(f"{path} is no CSV: {error}") from error
    return [_said(row, f"{path}, line {line}") for row, line in said]


def _check_header(path: Path, header: object) -> None:
    columns = list(header) if isinstance(header, list) else []
    unknown = [name for name in columns if name not in (*NEEDED, *OPTIONAL)]
    missing = [name for name in NEEDED if name not in columns]
    if unknown or missing or len(set(columns)) < len(columns):
        raise SessionError(
            f"{path}, line 1: the columns are {', '.join(map(str, columns)) or 'none'}; "
            f"expected {','.join(NEEDED)} and, if wanted, {','.join(OPTIONAL)}, between commas"
        )


def _said(row: dict[str, str | None], place: str) -> Said:
    if None in row or None in row.values():
        raise SessionError(f"{place}: the row has more or fewer cells than the first line")
    start_ms, end_ms = (_milliseconds(row[column] or "", column, place) for column in ("start_s", "end_s"))
    if end_ms <= start_ms:
        raise SessionError(f"{place}: end_s must be after start_s")
    return Said(Span(start_ms, end_ms), row["value"] or "", row.get("note") or "", place)


def _milliseconds(text: str, column: str, place: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_MS / 1000:
        raise SessionError(
            f"{place}: {column} is '{text[:40]}'; expected seconds from the session's start, such as 12.5"
        )
    return round(seconds * 1000)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"
