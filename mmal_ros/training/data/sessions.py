"""A folder of recorded sessions, as `mmal run --record` and `mmal review` leave it: everybody's labelled windows.

Only windows whose label counts (`session.agreement`) are in the set. Sessions in which no label counts are left out,
and so is who has none, which the repairs say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mmal_ros.datatypes import Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.features.recording import FeatureRecording
from mmal_ros.model_card import CLASSES
from mmal_ros.session.agreement import AgreementRule
from mmal_ros.session.card import SessionError
from mmal_ros.session.folder import SessionFolder, sessions_in
from mmal_ros.session.reading import read_features
from mmal_ros.training.data.cutting import GAP_S
from mmal_ros.training.data.labelled_sessions import LabelledWindows, counts, labelled_windows
from mmal_ros.training.people import DataError, DataSet


def load(folder: Path) -> DataSet:
    """All participants with labels that count, in the order of their codes.

    Raises:
        DataError: nobody has one, or sessions were recorded with different features.
    """
    by_code: dict[str, list[SessionFolder]] = {}
    for session in sessions_in(folder):
        by_code.setdefault(_card(session), []).append(session)
    feature_sets = _feature_sets(session for sessions in by_code.values() for session in sessions if _counts(session))
    people, repairs, labelled = [], [], {}
    for code, sessions in sorted(by_code.items()):
        try:
            found = _labelled(code, sessions, feature_sets)
        except SessionError as error:
            repairs.append(f"{code} is left out: {error}")
            continue
        people.append(found.windows.take(found.labelled))
        labelled[code] = found.learned_from()
    if not people:
        raise DataError(f"{folder}: no label counts in any session; label some with `mmal review`")
    features = {modality: FEATURE_SETS[name][1] for modality, name in feature_sets.items()}
    source = f"sessions recorded and labelled with this software, {folder.name}"
    return DataSet(
        *(folder.name, source, CLASSES, features, tuple(people), GAP_S, tuple(repairs)),
        feature_sets=feature_sets,
        labelled=labelled,
    )


def _card(session: SessionFolder) -> str:
    try:
        return session.card().participant
    except SessionError as error:
        raise DataError(str(error)) from error


def _counts(session: SessionFolder) -> bool:
    try:
        return counts(session, AgreementRule())
    except SessionError as error:
        raise DataError(str(error)) from error


def _labelled(code: str, sessions: Sequence[SessionFolder], feature_sets: dict[Modality, str]) -> LabelledWindows:
    ordered = sorted(sessions, key=lambda session: session.card().start_ns)
    return labelled_windows(ordered, feature_sets, AgreementRule(), code)


def _feature_sets(sessions: Iterable[SessionFolder]) -> dict[Modality, str]:
    """The feature set of each modality, the same in all sessions; raises DataError."""
    found: dict[Modality, tuple[str, str]] = {}
    for session in sessions:
        for modality, columns in _features(session).arrays.items():
            name, first = found.setdefault(modality, (str(columns["feature_set"]), session.name))
            if str(columns["feature_set"]) != name:
                problem = f"{modality} is '{columns['feature_set']}' in {session.name} and '{name}' in {first}"
                raise DataError(f"{problem}; a network learns from one feature set")
    return {modality: found[modality][0] for modality in Modality if modality in found}


def _features(session: SessionFolder) -> FeatureRecording:
    try:
        return read_features(session)
    except SessionError as error:
        raise DataError(str(error)) from error
