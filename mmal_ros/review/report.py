"""The report of a session for the therapist: one page for paper, with everything in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Level
from mmal_ros.files import replacing
from mmal_ros.review.library import said_of
from mmal_ros.review.model_words import how_known
from mmal_ros.review.report_plots import MODALITIES, clock, shares_plot, timeline_plot
from mmal_ros.session.agreement import agreement, training_labels
from mmal_ros.session.card import SessionCard, SessionError
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Flag, Label
from mmal_ros.session.timeline import Timeline, read_timeline
from mmal_ros.wording import why

TEMPLATES = Path(__file__).parent / "templates"
STYLE = (TEMPLATES / "report.css").read_text()
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'"
"""The page brings its one style sheet along, and may load nothing."""
PRIVACY_WORDS = {"features_only": "no pictures, no sound", "clips": "clips of flagged moments", "full": "everything"}


@dataclass(frozen=True, slots=True)
class HeardRow:
    """How well one modality was heard."""

    name: str
    missing: float
    """Share of the session, 0 to 1, in gaps of 2 s and more."""
    gaps: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One flag and what was said of it."""

    time: str
    reason: str
    labels: list[str]
    """One for each coder; empty: none."""
    notes: list[str]
    counts: str
    """The level that counts for training; empty: none does."""


def report_page(folder: SessionFolder) -> str:
    """The report as HTML; raises SessionError where the session's card or labels cannot be read."""
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    return templates.get_template("report.html").render(_content(folder))


def write_report(folder: SessionFolder, path: Path) -> None:
    """Write the report to a file that only its owner can read; raises SessionError."""
    page = report_page(folder)
    try:
        with replacing(path) as scratch:
            scratch.write_text(page)
    except OSError as error:
        raise SessionError(f"{path} cannot be written: {why(error)}") from error


def _content(folder: SessionFolder) -> dict[str, Any]:
    card, (flags, labels) = folder.card(), said_of(folder)
    timeline, problem = _timeline(folder)
    end_ns = card.end_ns or (timeline.end_ns if timeline else card.start_ns)  # one that was cut off has none
    rows, coders = _flag_rows(card, flags, labels), sorted({label.annotator for label in labels})
    marks = [
        ((flag.stamp_ns - card.start_ns) / NANOSECONDS_PER_SECOND, row.counts)
        for flag, row in zip(flags, rows, strict=True)
    ]
    found = agreement(labels)
    return {
        "style": Markup(STYLE),  # noqa: S704 (a file of this package)
        "card": card,
        "duration": clock((end_ns - card.start_ns) / NANOSECONDS_PER_SECOND),
        "keeps": PRIVACY_WORDS[card.privacy.value],
        "problem": problem,
        "plot": timeline_plot(timeline, marks) if timeline else None,
        "shares": _shares(timeline) if timeline else {},
        "shares_plot": shares_plot(_shares(timeline)) if timeline else None,
        "heard": _heard(timeline) if timeline else [],
        "coders": coders,
        "rows": rows,
        "unlabelled": sum(not any(row.labels) for row in rows),
        "agreement": found,
        "model": how_known(card.model, card.model_folder),
    }


def _timeline(folder: SessionFolder) -> tuple[Timeline | None, str]:
    """The timeline, or why there is none: flags and labels can be told in any case."""
    try:
        return read_timeline(folder), ""
    except SessionError as error:
        return None, str(error)


def _shares(timeline: Timeline) -> dict[str, float]:
    """Share of time by level, of all of the session; what is missing from 1 is not known."""
    count = max(len(timeline.level), 1)
    return {level.name.lower(): timeline.level.count(int(level)) / count for level in Level}


def _heard(timeline: Timeline) -> list[HeardRow]:
    whole_s = max((timeline.end_ns - timeline.start_ns) / NANOSECONDS_PER_SECOND, 1e-9)
    rows = []
    for key, name in MODALITIES.items():
        gaps = [gap.end_s - gap.start_s for gap in timeline.gaps if gap.modality == key]
        rows.append(HeardRow(name, min(sum(gaps) / whole_s, 1.0), len(gaps), max(gaps, default=0.0)))
    return rows


def _flag_rows(card: SessionCard, flags: Sequence[Flag], labels: Sequence[Label]) -> list[FlagRow]:
    coders = sorted({label.annotator for label in labels})
    said = {(label.window_id, label.annotator): label for label in labels}
    counts = {label.window_id: label.level.name.lower() for label in training_labels(labels)}
    rows = []
    for flag in flags:
        words = [said.get((flag.window_id, coder)) for coder in coders]
        rows.append(
            FlagRow(
                time=clock((flag.stamp_ns - card.start_ns) / NANOSECONDS_PER_SECOND),
                reason=flag.reason,
                labels=[word.value.value.replace("_", " ") if word and word.value else "" for word in words],
                notes=[f"{word.annotator}: {word.note}" for word in words if word and word.note],
                counts=counts.get(flag.window_id, ""),
            )
        )
    return rows
