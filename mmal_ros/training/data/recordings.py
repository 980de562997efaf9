"""Recorded sessions with labels: files of features and one table that says how engaged the person was when.

A folder holds one NPZ per session, as `features.recording` writes them, and `labels.csv` with the columns

* `person`: a code; `recording`: the name of the NPZ, with or without its ending;
* `start_s`, `end_s`: seconds since the beginning of the recording;
* `level`: low, medium or high.

The recordings are cut as the live graph cuts them (`data.cutting`), one window of ten steps every 0.67 s. A window has
the level of the row in which its whole second lies; windows across a border of two rows, or outside of all, are left
out. Blocks are recordings, and begin anew where nothing was labelled for more than `BREAK_S`. Recordings of one person
that overlap, as those that `mmal run --fast` made do, are laid one after the other, which the repairs say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Level, Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.features.recording import LONGEST_NS, FeatureRecording, read_recording
from mmal_ros.session.card import SessionError, checked_code
from mmal_ros.training.data.columns import Columns, read_columns
from mmal_ros.training.data.cutting import GAP_S, Segment, cut, middles_s, segment_of
from mmal_ros.training.data.errors import as_data_error, meant
from mmal_ros.training.data.rows import in_order, numbered, one_class_only
from mmal_ros.training.people import DataError, DataSet, PersonWindows

LABELS = "labels.csv"
PERSON, RECORDING, START, END, LEVEL = "person", "recording", "start_s", "end_s", "level"
CLASSES = tuple(level.name.lower() for level in Level)
BREAK_S = 5.0
"""Two rows that touch leave out at most 1 s + a hop of 0.67 s; the rest is patience with hand-made tables."""

LONGEST_S = LONGEST_NS / NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Session:
    """One recording, and who it is of."""

    person: str
    name: str
    recording: FeatureRecording
    segments: Sequence[Segment]

    @property
    def span_ns(self) -> tuple[int, int]:
        """When it begins and when its last frame was known."""
        ends_ns = [
            int(columns["known_ns"][-1]) for columns in self.recording.arrays.values() if len(columns["known_ns"])
        ]
        return self.recording.start_ns, max(ends_ns, default=self.recording.start_ns)


def load(folder: Path) -> DataSet:
    """All labelled people of the folder.

    Raises:
        DataError: a file is missing or damaged, a row of the labels is wrong, recordings have different feature sets
            of a modality, or two of one person begin at the same moment; names file and line.
    """
    labels = read_columns(folder / LABELS, (PERSON, RECORDING, LEVEL), (START, END))
    sessions = _sessions(folder, labels)
    feature_sets = _feature_sets(folder, sessions)
    by_code = {code: _in_time(code, sessions) for code in in_order(one.person for one in sessions)}
    people = tuple(_person(code, own, feature_sets) for code, own in by_code.items())
    features = {modality: FEATURE_SETS[name][1] for modality, name in feature_sets.items()}
    source = f"recorded sessions in {folder.name}"
    repairs = (*_laid(by_code), *one_class_only(people, CLASSES))
    return DataSet(folder.name, source, CLASSES, features, people, GAP_S, repairs, feature_sets=feature_sets)


# --- the table of labels -----------------------------------------------------------------------------------------


def _sessions(folder: Path, labels: Columns) -> list[Session]:
    names = [name.removesuffix(".npz") for name in labels.words[RECORDING]]
    files = {file.stem: file for file in sorted(folder.glob("*.npz"))}
    return [
        _session(files, labels, name, [row for row, n in enumerate(names) if n == name]) for name in in_order(names)
    ]


def _session(files: Mapping[str, Path], labels: Columns, name: str, rows: list[int]) -> Session:
    first_line = int(labels.lines[rows[0]])
    if name not in files:
        there = meant(name, list(files))
        raise labels.error(first_line, RECORDING, f"there is no recording '{name}' in {labels.path.parent}; {there}")
    others = [row for row in rows if labels.words[PERSON][row] != labels.words[PERSON][rows[0]]]
    if others:
        raise labels.error(int(labels.lines[others[0]]), PERSON, f"'{name}' is of another person in line {first_line}")
    person = labels.words[PERSON][rows[0]]
    try:
        checked_code(person)  # it stands in cards and reports
    except SessionError as error:
        raise labels.error(first_line, PERSON, str(error)) from error
    with as_data_error():
        recording = read_recording(files[name])
    session = Session(person, name, recording, _segments(labels, rows, recording.start_ns))
    _check_inside(labels, rows, session)
    return session


def _segments(labels: Columns, rows: list[int], start_ns: int) -> list[Segment]:
    """The rows of one recording in the order of time; raises DataError."""
    levels = [_level(labels, row) for row in rows]
    spans = [_span(labels, row) for row in rows]
    order = sorted(range(len(rows)), key=lambda index: spans[index])
    for before, after in pairwise(order):
        if spans[after][0] < spans[before][1]:
            problem = f"it begins before line {labels.lines[rows[before]]} ends; two labels at a time are too many"
            raise labels.error(int(labels.lines[rows[after]]), START, problem)
    return [Segment(_moment(start_ns, spans[i][0]), _moment(start_ns, spans[i][1]), levels[i]) for i in order]


def _moment(start_ns: int, seconds: float) -> int:
    return start_ns + round(seconds * NANOSECONDS_PER_SECOND)


def _level(labels: Columns, row: int) -> int:
    word = labels.words[LEVEL][row].lower()
    if word not in CLASSES:
        raise labels.error(int(labels.lines[row]), LEVEL, f"'{word}' is no level; {meant(word, CLASSES)}")
    return CLASSES.index(word)


def _span(labels: Columns, row: int) -> tuple[float, float]:
    start_s, end_s = labels.numbers[row].tolist()
    if not 0 <= start_s < end_s < LONGEST_S:
        problem = (
            f"from {start_s:g} to {end_s:g} s is no stretch of time; expected 0 or more, and an end after it, within "
            f"{LONGEST_S:,.0f} s"
        )
        raise labels.error(int(labels.lines[row]), START, problem)
    return start_s, end_s


def _check_inside(labels: Columns, rows: list[int], session: Session) -> None:
    start_ns, end_ns = session.span_ns
    lasts_s = (end_ns - start_ns) / NANOSECONDS_PER_SECOND
    for row in rows:
        if labels.numbers[row, 0] >= lasts_s:
            raise labels.error(int(labels.lines[row]), START, f"'{session.name}' lasts {lasts_s:.1f} s only")


# --- windows -----------------------------------------------------------------------------------------------------


def _feature_sets(folder: Path, sessions: Sequence[Session]) -> dict[Modality, str]:
    """The feature set of each modality, the same in all recordings; raises DataError."""
    found: dict[Modality, tuple[str, str]] = {}
    for session in sessions:
        for modality, columns in session.recording.arrays.items():
            name, first = found.setdefault(modality, (str(columns["feature_set"]), session.name))
            if str(columns["feature_set"]) != name:
                problem = f"{modality} is '{columns['feature_set']}' in {session.name} and '{name}' in {first}"
                raise DataError(f"{folder}: {problem}; a network learns from one feature set")
    return {modality: found[modality][0] for modality in Modality if modality in found}


def _in_time(code: str, sessions: Sequence[Session]) -> list[Session]:
    """A person's recordings in the order of their beginnings; raises DataError where two begin at once."""
    own = sorted((one for one in sessions if one.person == code), key=lambda session: session.span_ns)
    for before, after in pairwise(own):
        if after.span_ns[0] == before.span_ns[0]:
            both = f"the recordings {before.name} and {after.name} of '{code}'"
            raise DataError(f"{both} begin at the same moment; leave one of them out of {LABELS} if they are one")
    return own


def _laid(by_code: Mapping[str, Sequence[Session]]) -> tuple[str, ...]:
    """A sentence for everybody whose recordings overlap."""
    who = [code for code, sessions in by_code.items() if any(_later_ns(sessions))]
    why = "recordings overlap in time, as those made with --fast do; laid one after the other"
    return tuple(f"{code}'s {why}" for code in who)


def _later_ns(sessions: Sequence[Session]) -> list[int]:
    """How much later each recording is taken to be: it begins `GAP_S` after the one before, or where it says."""
    later_ns, free_ns = [], 0
    for start_ns, end_ns in (session.span_ns for session in sessions):
        overlaps = start_ns < free_ns
        later_ns.append(free_ns + round(GAP_S * NANOSECONDS_PER_SECOND) - start_ns if overlaps else 0)
        free_ns = end_ns + later_ns[-1]
    return later_ns


def _person(code: str, sessions: Sequence[Session], feature_sets: Mapping[Modality, str]) -> PersonWindows:
    cuts = [cut(session.recording, feature_sets) for session in sessions]
    found = [segment_of(one.ends_ns, session.segments) for one, session in zip(cuts, sessions, strict=True)]
    if all((segment < 0).all() for segment in found):
        raise DataError(f"no window of '{code}' lies within a label of {LABELS}; labels must be longer than 1 s")
    kept = [one.take(segment >= 0) for one, segment in zip(cuts, found, strict=True)]
    labels = [
        np.array([s.label for s in session.segments])[segment[segment >= 0]]
        for session, segment in zip(sessions, found, strict=True)
    ]
    ends_ns = [one.ends_ns + later_ns for one, later_ns in zip(kept, _later_ns(sessions), strict=True)]
    times_s = middles_s(np.concatenate(ends_ns), sessions[0].recording.start_ns)
    names = [session.name for session, one in zip(sessions, kept, strict=True) for _ in one.ends_ns]
    return PersonWindows(
        code,
        {m: np.concatenate([one.features[m] for one in kept]) for m in feature_sets},
        {m: np.concatenate([one.mask[m] for one in kept]) for m in feature_sets},
        np.concatenate(labels),
        times_s,
        numbered(names, times_s, BREAK_S),
    )
