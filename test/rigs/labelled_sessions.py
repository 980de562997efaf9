"""Labelled sessions of people who do not exist, and a group's model set that hears what was recorded of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import SessionStore
from mmal_ros.training.data.cohort import simulated_person
from mmal_ros.training.export.model_sets import About, of_group, write_model_set
from mmal_ros.training.group.models import GroupSettings, fit_group
from mmal_ros.training.sessions import FEATURE_SETS
from rigs.sessions import level_at, make_session

GROUP = GroupSettings(windows_per_person=40, folds=1)
WINDOW_S = 1


def write_group(folder: Path) -> Path:
    """A group's model set in models/<name>/<version>, quickly trained on people unlike those of the sessions."""
    group = fit_group([simulated_person(code, 0, 0.05) for code in ("C01", "C02")], GROUP, seed=0)
    write_model_set(folder, of_group(group, centred=group), About("For tests only.", FEATURE_SETS, {}))
    return folder


def write_session(root: Path, participant: str, seed: int, minutes: float = 2) -> SessionFolder:
    """A session that one can learn something from; nobody has labelled it yet."""
    return make_session(root, participant, minutes=minutes, flags=2, seed=seed, clips=False, features="synthetic")


def label(
    session: SessionFolder,
    seed: int,
    ends_s: Iterable[float],
    coder: str = "C1",
    value: LabelValue | None = None,
) -> list[int]:
    """Label the windows with these ends, in s since the start, by the truth or this value; returns the ends in ns."""
    start_ns = session.card().start_ns
    stamps_ns = [start_ns + round(end_s * NANOSECONDS_PER_SECOND) for end_s in ends_s]
    with SessionStore(session.labels) as store:
        for stamp_ns in stamps_ns:
            truth = level_at(seed, (stamp_ns - start_ns) / NANOSECONDS_PER_SECOND - WINDOW_S)
            said = value or LabelValue(truth.name.lower())
            store.add_label(Label(stamp_ns // 10**8, stamp_ns, coder, said, stamp_ns), f"{coder} {stamp_ns} {said}")
    return stamps_ns
