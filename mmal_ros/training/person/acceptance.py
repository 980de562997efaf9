"""Whether a personalised model may replace the one in use: only if it is better on labels that it has not seen.

The labelled windows are cut into a few stretches of time. For each, a candidate is trained on the labels of the
others, without those that are near copies of what is held out, and answers the stretch. All answers together are
compared with those of the model in use on the same windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmal_ros.training.group.models import GroupModel
from mmal_ros.training.metrics import score
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.person.personalise import Personalisation, personalise

STRETCHES = 4
FEWEST_LABELS = 8
"""Two labels a stretch: with fewer, the comparison is a throw of dice."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison gave, for the model card and for people."""

    accepted: bool
    reason: str
    """One sentence."""
    before: float
    """Macro-F1 of the model in use over the classes labelled; NaN: not compared."""
    after: float
    """Macro-F1 of candidates on labels that they had not seen; NaN: not compared."""
    labels: int
    """Labels that both were compared on."""


def judge(
    group: GroupModel,
    pool: PersonWindows,
    labelled: NDArray[np.int64],
    in_use: NDArray[np.int64],
    settings: Personalisation,
    gap_s: float,
    seed: int,
) -> Verdict:
    """Compare candidates with the model in use.

    Args:
        group: what candidates start from.
        pool: windows of the person; labels count at `labelled` only.
        labelled: (B,) rows of the pool.
        in_use: (B,) levels that the model in use answers there, -1 where it has no answer.
        settings: how candidates are personalised.
        gap_s: labels closer in time to what is held out are not learned from.
        seed: of the candidates.
    """
    order = np.argsort(pool.times_s[labelled], kind="stable")
    labelled, in_use = labelled[order], in_use[order]
    if len(labelled) < FEWEST_LABELS:
        return _refused(f"{len(labelled)} labels; {FEWEST_LABELS} are needed to compare")
    held_out = np.array_split(np.arange(len(labelled)), STRETCHES)
    learned = [_away_from(pool, labelled, part, gap_s) for part in held_out]
    usable = [i for i, rows in enumerate(learned) if len(rows)]
    if not usable:
        return _refused(f"all labels are within {gap_s:g} s of one another, so none can be held out")
    candidates = personalise(group, pool, [learned[i] for i in usable], settings, seed)
    tested = np.concatenate([held_out[i] for i in usable])
    answers = [candidates.opinions(pool.take(labelled[held_out[i]])).levels[run] for run, i in enumerate(usable)]
    truth = pool.labels[labelled[tested]]
    before, after = score(truth, in_use[tested]), score(truth, np.concatenate(answers))
    return _verdict(before.f1_present, after.f1_present, len(tested))


def _away_from(
    pool: PersonWindows, labelled: NDArray[np.int64], part: NDArray[np.int64], gap_s: float
) -> NDArray[np.int64]:
    """The labelled rows that are not held out, and not within `gap_s` of one that is."""
    distances = np.abs(pool.times_s[labelled][:, None] - pool.times_s[labelled[part]]).min(axis=1)
    kept: NDArray[np.int64] = labelled[(distances > gap_s) & ~np.isin(np.arange(len(labelled)), part)]
    return kept


def _verdict(before: float, after: float, labels: int) -> Verdict:
    better = after > before
    words = "better" if better else "not better"
    reason = f"{words} on {labels} held-out labels: macro-F1 {after:.2f}, the model in use has {before:.2f}"
    return Verdict(better, reason, before, after, labels)


def _refused(reason: str) -> Verdict:
    return Verdict(False, reason, np.nan, np.nan, 0)
