"""From a participant's labelled sessions to her own model set, live only if it is better than what is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Level, Modality
from mmal_ros.model_versions import current, next_version, use
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.paths import model_folders
from mmal_ros.session.agreement import AgreementRule
from mmal_ros.session.card import SessionError, checked_code
from mmal_ros.session.folder import SessionFolder
from mmal_ros.training import provenance
from mmal_ros.training.data.labelled_sessions import LabelledWindows, labelled_windows, sessions_of
from mmal_ros.training.export.groups import read_group
from mmal_ros.training.export.measure import estimates_of, levels_of
from mmal_ros.training.export.model_sets import About, of_person, write_model_set
from mmal_ros.training.group.models import GroupModel
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.person.acceptance import FEWEST_LABELS, Verdict, gap_between, judge, near_in_time
from mmal_ros.training.person.participant_folder import alone_in, group_to_start_from, installed, make_files_private
from mmal_ros.training.person.personalise import PRODUCT, personalise
from mmal_ros.training.provenance import LEARNED_FROM

DIGITS = 3
JOBS = 2
"""FACE has about as many weights as the other three modalities together, so more threads gain nothing."""
STEPS = 3
"""When the sessions are read: compare, learn, write."""
Tell = Callable[[int, int, str], None]
"""Is told how far it is: steps done, of how many, and what comes next."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for."""

    participant: str
    sessions_root: Path
    models_root: Path
    """Where the participants' models are, one folder each."""
    sessions: tuple[str, ...] = ()
    """Names of the sessions to learn from; none: all that are labelled."""
    lead: str | None = None
    """Code of the coder whose word counts before the majority's."""
    group: str | None = None
    """Model set of a group to start from; None: that of the last time, or the one that comes along."""
    switch: bool = True
    """Make the new version live if it is better."""
    seed: int = 0

    @property
    def folder(self) -> Path:
        """Of the participant's models."""
        return self.models_root / self.participant


@dataclass(frozen=True, slots=True)
class Deployed:
    """What became of it."""

    version: str
    """The new one, live or not."""
    verdict: Verdict
    labels: int
    """That were learned from."""
    unheard: int
    """Labels of windows in which nothing was recorded."""
    sessions: tuple[str, ...]
    """That were learned from."""
    switched: bool
    current: str
    """The version that is live now."""


def deploy(request: Request, tell: Tell = lambda done, of, what: None) -> Deployed:
    """Learn, compare, write a version, and make it live if it is better and nobody said otherwise.

    Raises:
        SessionError: there is no session, or there are too few labels, or of one level only; nothing is written.
        ModelError: there is nothing to start from, or another process is at it.
    """
    checked_code(request.participant)
    _check_name(request.participant)
    if request.lead is not None:  # it stands in the card
        checked_code(request.lead, "coder")
    sessions = sessions_of(request.participant, request.sessions_root, request.sessions)
    start = group_to_start_from(request.folder, request.group)
    group, steps = read_group(start), len(sessions) + STEPS
    read = _one_by_one(sessions, lambda done, name: tell(done, steps, f"reading {name}"))
    found = labelled_windows(read, start.card.feature_sets, AgreementRule(request.lead), request.participant)
    _check_labels(found)
    with alone_in(request.folder):
        _check_still_there(sessions)
        base = installed(start, request.folder)
        tell(steps - 3, steps, f"comparing with the model in use, on {len(found.labelled)} labels")
        in_use = load_model_set(request.folder)
        gap_s = gap_between(group)
        verdict = _compared(group, start, in_use, found, gap_s, request.seed)
        tell(steps - 2, steps, f"learning from {len(found.labelled)} labels")
        learned = personalise(group, found.windows, [found.labelled], PRODUCT, request.seed, jobs=JOBS)
        tell(steps - 1, steps, "writing the model set")
        version = next_version(request.folder)
        _check_still_there(sessions)
        write_model_set(
            request.folder / version, of_person(learned), _about(request, base, in_use, found, verdict, gap_s)
        )
        make_files_private(request.folder / version)
        overtaken = current(request.folder) != in_use.folder.name  # it is not what this was compared with
        switched = verdict.accepted and request.switch and not overtaken
        if switched:
            use(request.folder, version)
        tell(steps, steps, "done")
        live = str(current(request.folder))
    return Deployed(version, verdict, len(found.labelled), found.unheard, found.sessions, switched, live)


# --- what it is compared with ------------------------------------------------------------------------------------


def _compared(
    group: GroupModel, start: ModelSet, in_use: ModelSet, found: LabelledWindows, gap_s: float, seed: int
) -> Verdict:
    recorded = start.card.feature_sets
    levels = _levels(in_use, found.windows.take(found.labelled), recorded)
    known = _known(found, [start, in_use], gap_s)
    verdict = judge(group, found.windows, found.labelled, levels, PRODUCT, gap_s, seed, known, JOBS)
    missing = ", ".join(sorted(_missing_to(in_use, recorded)))
    without = f"; it was asked without {missing}, of which the new one hears other features or none"
    return replace(verdict, reason=verdict.reason + without) if missing and verdict.labels else verdict


def _known(found: LabelledWindows, sets: Sequence[ModelSet], gap_s: float) -> NDArray[np.bool_]:
    """(B,) labels that one of the sets has learned from, or from one as near as `gap_s`."""
    blocks, ends_ns = found.windows.blocks[found.labelled], found.ends_ns[found.labelled]
    known = np.zeros(len(ends_ns), bool)
    for block, name in enumerate(found.sessions):
        learned = [end for models in sets for end in models.card.training.get(LEARNED_FROM, {}).get(name, ())]
        here = blocks == block
        known[here] = near_in_time(ends_ns[here], np.array(learned, np.int64), gap_s * NANOSECONDS_PER_SECOND)
    return known


def _levels(models: ModelSet, windows: PersonWindows, recorded: Mapping[Modality, str]) -> NDArray[np.int64]:
    """What a set answers, (N,); to one that hears other features of a modality it is missing, as it would be live."""
    features, mask = dict(windows.features), dict(windows.mask)
    steps = next(iter(mask.values())).shape
    for modality in _missing_to(models, recorded):
        numbers = len(models.card.modalities[modality].features)
        features[modality], mask[modality] = np.zeros((*steps, numbers), np.float32), np.zeros(steps, np.float32)
    return levels_of(estimates_of(models, replace(windows, features=features, mask=mask)))


def _missing_to(models: ModelSet, recorded: Mapping[Modality, str]) -> list[Modality]:
    """Modalities that a set hears, of which other features were recorded, or none."""
    return [modality for modality, name in models.card.feature_sets.items() if recorded.get(modality) != name]


# --- what is written ---------------------------------------------------------------------------------------------


def _about(
    request: Request, base: ModelSet, in_use: ModelSet, found: LabelledWindows, verdict: Verdict, gap_s: float
) -> About:
    levels = found.windows.labels[found.labelled]
    training: dict[str, Any] = {
        "participant": request.participant,
        "sessions": list(found.sessions),
        "labels": len(levels),
        "labels_by_level": {level.name.lower(): int((levels == level).sum()) for level in Level},
        "coders": list(found.coders),
        "agreement": f"{request.lead}'s word, else the majority's" if request.lead else "the majority's word",
        "windows": len(found.windows),
        "personalisation": asdict(PRODUCT),
        "gap_s": round(gap_s, DIGITS),
        "seed": request.seed,
        "compared_with": in_use.card.identity,
        "verdict": verdict.reason,
        "command": provenance.command(),
        "software": provenance.software(),
        LEARNED_FROM: found.learned_from(),
    }
    metrics = {
        "measure": "macro-F1 on labels held out in turn",
        "labels": verdict.labels,
        **{name: rounded(getattr(verdict, name)) for name in ("before", "after", "constant")},
    }
    purpose = (
        f"Engagement of {request.participant} and nobody else. Not a medical device and no judge of a child. "
        f"Made from {base.card.identity}: {base.card.purpose}"
    )
    accepted = verdict.accepted if verdict.labels else None
    return About(purpose, base.card.feature_sets, training, metrics, base, accepted)


def rounded(value: float) -> float | None:
    """As cards and JSON have it; None: not compared."""
    return None if np.isnan(value) else round(value, DIGITS)


# --- one after the other -----------------------------------------------------------------------------------------


def _check_name(participant: str) -> None:
    """Her models would take the place of one that comes along, for everybody."""
    if any((folder / participant).is_dir() for folder in model_folders()):
        raise SessionError(f"'{participant}' is the name of a model that comes along; record with another code")


def _check_still_there(sessions: Sequence[SessionFolder]) -> None:
    """Who deletes a session does not want a model of it a minute later."""
    gone = next((session for session in sessions if not session.path.is_dir()), None)
    if gone is not None:
        raise SessionError(f"{gone.name} was deleted meanwhile, so no model was made; `mmal personalise` begins anew")


def _check_labels(found: LabelledWindows) -> None:
    levels, who = found.windows.labels[found.labelled], found.windows.code
    if len(levels) < FEWEST_LABELS:
        count = "1 label counts" if len(levels) == 1 else f"{len(levels)} labels count"
        raise SessionError(f"{count} for {who} so far, {FEWEST_LABELS} are needed; label more with `mmal review`")
    if (levels == levels[0]).all():
        only = Level(levels[0]).name.lower()
        raise SessionError(f"all {len(levels)} labels of {who} are '{only}'; at least two levels are needed to learn")


def _one_by_one(sessions: Sequence[SessionFolder], tell: Callable[[int, str], None]) -> Iterator[SessionFolder]:
    for number, session in enumerate(sessions):
        tell(number, session.name)
        yield session
