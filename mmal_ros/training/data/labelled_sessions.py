"""Recorded and labelled sessions of one participant, as windows to learn from: every session a block of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import Level, Modality
from mmal_ros.session.agreement import AgreementRule, training_labels
from mmal_ros.session.card import SessionError, checked_code
from mmal_ros.session.folder import SessionFolder, open_session_folder, sessions_in
from mmal_ros.session.records import Label
from mmal_ros.session.store import SessionStore
from mmal_ros.training.data.cutting import middles_s
from mmal_ros.training.data.session_windows import NO_LABEL, SessionWindows, session_windows
from mmal_ros.training.people import PersonWindows
from mmal_ros.wording import unknown


@dataclass(frozen=True, slots=True, eq=False)
class LabelledWindows:
    """Windows of one participant, in the order of time."""

    windows: PersonWindows
    """Its labels are `NO_LABEL` but at `labelled`. Something is heard in each window. Blocks are sessions."""
    labelled: NDArray[np.int64]
    """(B,) rows that are labelled."""
    ends_ns: NDArray[np.int64]
    """(N,) end of each window."""
    sessions: tuple[str, ...]
    """Names of the sessions in which labels count, by block."""
    coders: tuple[str, ...]
    """Codes of whoever labelled in them."""
    unheard: int
    """Labels of windows in which nothing was recorded; nothing can be learned from them."""

    def learned_from(self) -> dict[str, list[int]]:
        """The end of every labelled window, in ns, by session: for the card of what is made of them."""
        blocks = self.windows.blocks[self.labelled]
        return {name: self.ends_ns[self.labelled[blocks == i]].tolist() for i, name in enumerate(self.sessions)}


def sessions_of(participant: str, root: Path, names: Sequence[str] = ()) -> list[SessionFolder]:
    """The sessions of a participant in the order of time: all below `root`, or those named.

    Raises:
        SessionError: there is none, or one that was named is of somebody else.
    """
    checked_code(participant)
    if names:
        found = [_own(open_session_folder(name, root), participant) for name in names]
    else:
        owners = {session: _owner(session, participant) for session in sessions_in(root)}
        found = [session for session, owner in owners.items() if owner == participant]
        if not found:
            there = sorted({owner for owner in owners.values() if owner})
            hint = unknown("participant", participant, there) if there else "there is no session in it yet"
            raise SessionError(f"nothing of {participant} was recorded in {root}: {hint}")
    return sorted(found, key=lambda session: session.card().start_ns)


def labelled_windows(
    sessions: Iterable[SessionFolder], feature_sets: Mapping[Modality, str], rule: AgreementRule, code: str
) -> LabelledWindows:
    """What can be learned from labelled sessions of one participant; those without labels that count are left out.

    Args:
        sessions: in the order of time; one at a time is read, so an iterator can tell how far it is.
        feature_sets: what the model hears. What else was recorded is left out; what was not is not known.
        rule: whose labels count.
        code: of the participant.

    Raises:
        SessionError: no label counts, or a session was recorded with other features than the model hears.
    """
    names: list[str] = []
    coders: set[str] = set()
    found: list[SessionWindows] = []
    for session in sessions:
        names.append(session.name)
        labels = _labels(session)
        if levels := _levels(labels, rule):
            found.append(session_windows(session, feature_sets, levels))
            coders |= {label.annotator for label in labels}
    heard = [one for one in found if (one.labels != NO_LABEL).any()]
    if not heard:
        problem = (
            "no features were recorded with any label" if found else "nobody labelled a window low, medium or high"
        )
        raise SessionError(f"{', '.join(names)}: {problem}; label flagged windows with `mmal review`")
    return _joined(code, heard, feature_sets, tuple(sorted(coders)), sum(one.unheard for one in found))


def counts(session: SessionFolder, rule: AgreementRule) -> bool:
    """Whether a label of a session counts; raises SessionError where its labels cannot be read."""
    return bool(_levels(_labels(session), rule))


def _levels(labels: Sequence[Label], rule: AgreementRule) -> dict[int, Level]:
    return {label.stamp_ns: label.level for label in training_labels(labels, rule)}


def _owner(session: SessionFolder, participant: str) -> str:
    """Whose it is; of others' sessions nothing matters, not even that a card is damaged."""
    try:
        return session.card().participant
    except SessionError:
        if f"_{participant}_" in session.name:
            raise
        return ""


def _own(session: SessionFolder, participant: str) -> SessionFolder:
    owner = session.card().participant
    if owner != participant:
        raise SessionError(f"{session.name} is a session of {owner}, not of {participant}")
    return session


def _labels(session: SessionFolder) -> list[Label]:
    if not session.labels.is_file():
        return []
    with SessionStore(session.labels) as store:
        return store.standing_labels()


def _joined(
    code: str,
    sessions: Sequence[SessionWindows],
    feature_sets: Mapping[Modality, str],
    coders: tuple[str, ...],
    unheard: int,
) -> LabelledWindows:
    """Sessions one after the other, on one axis of time."""
    ends_ns = np.concatenate([one.ends_ns for one in sessions])
    labels = np.concatenate([one.labels for one in sessions])
    windows = PersonWindows(
        code,
        {m: np.concatenate([one.features[m] for one in sessions]) for m in feature_sets},
        {m: np.concatenate([one.mask[m] for one in sessions]) for m in feature_sets},
        labels,
        middles_s(ends_ns, int(ends_ns[0])),
        np.repeat(np.arange(len(sessions)), [len(one.ends_ns) for one in sessions]),
    )
    names = tuple(one.name for one in sessions)
    return LabelledWindows(windows, np.flatnonzero(labels != NO_LABEL), ends_ns, names, coders, unheard)
