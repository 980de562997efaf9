"""How `mmal session` shows what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.session.agreement import Agreement, agreement, training_labels
from mmal_ros.session.card import SessionCard, SessionError
from mmal_ros.session.deletion import is_recording
from mmal_ros.session.exchange.importing import Imported
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import CLIP_LOST, Flag, Label
from mmal_ros.session.salvage import settle
from mmal_ros.session.store import SessionStore

SHOWN_ON_CARD = ("participant", "privacy", "model", "policy", "budget", "software")


def print_sessions(out: Console, sessions: Iterable[SessionFolder]) -> None:
    """A line per session; below, what is wrong with those that cannot be read."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("session", "participant", "UTC", "duration", "keeps", "flags", "labelled", "coders"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "coders")
    broken = []
    for folder in sessions:
        try:
            table.add_row(folder.name, *_line(folder))
        except SessionError as error:
            table.add_row(folder.name, "broken")
            broken.append(str(error))
    out.print(table)
    for reason in broken:
        out.print(reason, style="red", highlight=False, markup=False, soft_wrap=True)


def print_session(out: Console, folder: SessionFolder) -> None:
    """Card, flags with what was said of them, and agreement."""
    card, (flags, labels) = folder.card(), _flags_and_labels(folder)
    out.print(f"[bold]{folder.name}[/bold]  {card.start:%Y-%m-%d %H:%M} UTC, {_duration(folder, card)}")
    for name in SHOWN_ON_CARD:
        out.print(f"  {name}: {getattr(card, name) or '–'}", highlight=False, markup=False)
    for device, spec in card.devices.items():
        out.print(f"  {device}: {spec}", highlight=False, markup=False)
    if flags:
        out.print(_flags_table(flags, labels, card))
    _print_labels(out, labels)


def imported_sentence(imported: Imported, annotator: str) -> str:
    """What became of an imported file."""
    parts = [f"{imported.labels} windows labelled by {annotator}"]
    if imported.known:
        parts.append(f"{imported.known} had that label already")
    if imported.elsewhere:
        parts.append(f"{imported.elsewhere} annotations hold no flagged window (see --all-windows)")
    if imported.unsaid:
        parts.append(f"{imported.unsaid} annotations have no value")
    return "; ".join(parts)


def _line(folder: SessionFolder) -> tuple[str, ...]:
    card, (flags, labels) = folder.card(), _flags_and_labels(folder)
    labelled = {label.window_id for label in labels}
    done = sum(flag.window_id in labelled for flag in flags)
    return (
        card.participant,
        f"{card.start:%H:%M}",
        _duration(folder, card),
        card.privacy.split("_")[0],
        str(len(flags)),
        f"{done} of {len(flags)}" if flags else "–",
        ", ".join(sorted({label.annotator for label in labels})) or "–",
    )


def _flags_and_labels(folder: SessionFolder) -> tuple[list[Flag], list[Label]]:
    if not folder.labels.is_file():
        return [], []
    settle(folder)
    with SessionStore(folder.labels) as store:
        return store.flags(), store.standing_labels()


def _duration(folder: SessionFolder, card: SessionCard) -> str:
    if card.end_ns is None:
        return "recording now" if is_recording(folder) else "cut off"
    return _clock(card.end_ns - card.start_ns)


def _clock(duration_ns: int) -> str:
    minutes, seconds = divmod(round(duration_ns / NANOSECONDS_PER_SECOND), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _flags_table(flags: Iterable[Flag], labels: Iterable[Label], card: SessionCard) -> Table:
    said: dict[int, list[str]] = {}
    for label in labels:
        said.setdefault(label.window_id, []).append(f"{label.annotator} {label.value}")
    table = Table("time", "why", "clip", "labels", box=SIMPLE_HEAD, pad_edge=False)
    for flag in flags:
        words = ", ".join(said.get(flag.window_id, ["–"]))
        table.add_row(_clock(flag.stamp_ns - card.start_ns), escape(flag.reason), _clip(flag), words)
    return table


def _clip(flag: Flag) -> str:
    return "lost" if flag.clip == CLIP_LOST else flag.clip or "–"


def _print_labels(out: Console, labels: list[Label]) -> None:
    counts = Counter(label.annotator for label in labels)
    said = ", ".join(f"{coder} {count}" for coder, count in sorted(counts.items())) or "none yet"
    out.print(f"labels: {said}; {len(training_labels(labels))} windows count for training", highlight=False)
    if len(counts) > 1:
        for line in _agreement_lines(agreement(labels)):
            out.print(line, highlight=False)


def _agreement_lines(found: Agreement) -> Iterable[str]:
    for pair, kappa in found.kappa.items():
        yield f"Cohen's kappa of {' and '.join(pair)}: {_figure(kappa)} ({found.both[pair]} windows)"
    yield f"Krippendorff's alpha, ordinal, of all: {_figure(found.alpha)} ({found.windows} windows)"


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"
