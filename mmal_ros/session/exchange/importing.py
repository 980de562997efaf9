"""Labels from a file of another tool, added to a session as if the coder had given them on the review page."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.features.recording import LONGEST_NS
from mmal_ros.session.card import SessionCard, SessionError, checked_code
from mmal_ros.session.exchange.eaf import read_eaf
from mmal_ros.session.exchange.spans import Said, Span, value_of, window_span
from mmal_ros.session.exchange.table import read_csv
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import WINDOW_NS, Label
from mmal_ros.session.store import SessionStore, standing

READ = (".eaf", ".csv")


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the annotations of a file."""

    labels: int
    """Windows that got a label."""
    known: int
    """Windows for which the coder had said the same already."""
    elsewhere: int
    """Annotations in which there is no window that is asked about."""
    unsaid: int
    """Annotations without a word in them."""


def read_coding(path: Path, annotator: str, tier: str | None = None) -> list[Said]:
    """What one coder says in a file, by its suffix .eaf or .csv; raises SessionError."""
    checked_code(annotator, "coder")
    kind = path.suffix.lower()
    if kind not in READ:
        raise SessionError(f"{path}: labels are read from {' and '.join(READ)} only")
    if kind == ".eaf":
        return read_eaf(path, annotator, tier)
    if tier is not None:
        raise SessionError("--tier is for .eaf files: a CSV has no tiers")
    return read_csv(path, annotator)


def import_labels(
    folder: SessionFolder, said: Sequence[Said], annotator: str, now_ns: int, *, all_windows: bool = False
) -> Imported:
    """Give a label to every window whose middle lies in an annotation; all labels are added, or none.

    An annotation that is exactly one window's labels this one only. What the coder says already is not said again, so
    importing a file twice, or again after a crash, changes nothing.

    Args:
        folder: of the session.
        said: what `read_coding` gave.
        annotator: code of the coder.
        now_ns: when, for the labels.
        all_windows: not only those that are flagged or labelled, but the session second by second.

    Raises:
        SessionError: a word is no label, or two annotations say different things of one window.
    """
    card = folder.card()
    spoken = [word for word in said if word.text.strip()]
    with SessionStore(folder.labels) as store:
        history = store.labels()
        windows = {flag.window_id: flag.stamp_ns for flag in store.flags()}
        windows |= {label.window_id: label.stamp_ns for label in standing(history)}
        if all_windows:
            windows |= _seconds(card)
        meant, elsewhere = _meant(spoken, windows, card.start_ns)
        own = [label for label in history if label.annotator == annotator]
        stand = {label.window_id: label for label in standing(own)}
        labels = [
            Label(window_id, windows[window_id], annotator, value_of(word), now_ns, word.note.strip())
            for window_id, word in meant.items()
        ]
        fresh = [label for label in labels if not _said(label, stand.get(label.window_id))]
        before = Counter(label.window_id for label in own)
        added = store.add_labels([(label, _request(label, before[label.window_id])) for label in fresh])
    return Imported(added, len(labels) - added, elsewhere, len(said) - len(spoken))


def _meant(said: Iterable[Said], windows: Mapping[int, int], start_ns: int) -> tuple[dict[int, Said], int]:
    """Which annotation speaks of each window, in the order of the file; how many speak of none."""
    spans = sorted(((window_span(stamp, start_ns), window_id) for window_id, stamp in windows.items()), key=_middle)
    middles = [span.middle_ms for span, _ in spans]
    meant: dict[int, Said] = {}
    elsewhere = 0
    for word in said:
        value = value_of(word)
        inside = spans[bisect_left(middles, word.span.start_ms) : bisect_left(middles, word.span.end_ms)]
        chosen = [entry for entry in inside if word.span.equals(entry[0])] or inside
        elsewhere += not chosen
        for span, window_id in chosen:
            if value_of(earlier := meant.setdefault(window_id, word)) != value:
                raise SessionError(
                    f"{earlier.place} and {word.place} say different things of the window "
                    f"{span.start_ms / 1000:.1f} to {span.end_ms / 1000:.1f} s; let them not overlap there"
                )
    return meant, elsewhere


def _middle(entry: tuple[Span, int]) -> float:
    return entry[0].middle_ms


def _seconds(card: SessionCard) -> dict[int, int]:
    """Every whole second of a session as a window: its id and the stamp of its end."""
    if card.end_ns is None:
        raise SessionError(f"{card.name} has no end yet, so its seconds cannot be counted; leave out --all-windows")
    if card.end_ns - card.start_ns > LONGEST_NS:
        raise SessionError(f"{card.name} lasts longer than a week; mend start_ns or end_ns of its card")
    period_ns = round(NANOSECONDS_PER_SECOND / card.rate_hz)
    first_ns = -(-(card.start_ns + WINDOW_NS) // NANOSECONDS_PER_SECOND) * NANOSECONDS_PER_SECOND
    return {stamp // period_ns: stamp for stamp in range(first_ns, card.end_ns + 1, NANOSECONDS_PER_SECOND)}


def _said(label: Label, standing_one: Label | None) -> bool:
    """Whether the coder says so already; a file without notes takes none back."""
    if standing_one is None:
        return False
    return label.value == standing_one.value and label.note in ("", standing_one.note.strip())


def _request(label: Label, before: int) -> str:
    """Names this act of labelling: the same after a crash, another one once the coder has said more of the window."""
    content = repr((label.window_id, label.annotator, label.value, label.note, before))
    return f"import-{hashlib.sha256(content.encode()).hexdigest()[:32]}"
