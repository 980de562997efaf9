"""Whether a personalised model may replace the one in use: only if it is better on labels that it has not seen.

The labelled windows are dealt out in turn, in the order of time, to a few parts. For each, a candidate is trained on
the labels of the others, without those that are near copies of what is held out, and answers the part; nor does a
label speak for an unlabelled window that is such a copy. All answers together are compared with those of the model in
use on the same windows. What the model in use, or the group, has learned from is never held out: they know those
answers by heart.

Parts that were stretches of time instead would refuse what is better: where engagement comes in long blocks, the class
of a stretch is one that the candidate never saw (benchmarks/acceptance.py; docs/results.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.training.data.cutting import GAP_S
from mmal_ros.training.group.models import GroupModel
from mmal_ros.training.metrics import constant, majority, score
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.person.personalise import Personalisation, personalise

PARTS = 4
FEWEST_LABELS = 8
"""Two labels a part: with fewer, the comparison is a throw of dice."""


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
    constant: float
    """Macro-F1 of always answering the commonest of these labels; NaN: not compared."""
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
    known: NDArray[np.bool_] | None = None,
    jobs: int = 1,
) -> Verdict:
    """Compare candidates with the model in use.

    Args:
        group: what candidates start from.
        pool: windows of the person; labels count at `labelled` only.
        labelled: (B,) rows of the pool.
        in_use: (B,) levels that the model in use answers there, -1 where it has no answer.
        settings: how candidates are personalised.
        gap_s: windows as close in time to what is held out are not learned from.
        seed: of the candidates.
        known: (B,) labels that the model in use, or the group, has learned from; None: they have learned from none.
        jobs: as in `personalise`.
    """
    order = np.argsort(pool.times_s[labelled], kind="stable")
    labelled, in_use = labelled[order], in_use[order]
    fresh = np.arange(len(labelled)) if known is None else np.flatnonzero(~known[order])
    if len(fresh) < FEWEST_LABELS:
        new = " that were not learned from before" if known is not None and known.any() else ""
        return _refused(f"{len(fresh)} labels{new}; {FEWEST_LABELS} are needed to compare")
    held_out = [fresh[part::PARTS] for part in range(PARTS)]
    near = [near_in_time(pool.times_s, pool.times_s[labelled[part]], gap_s) for part in held_out]
    learned = [labelled[~copies[labelled]] for copies in near]
    usable = [i for i, rows in enumerate(learned) if len(rows)]
    if not usable:
        return _refused(f"all labels are within {gap_s:g} s of one another, so none can be held out")
    fewer = replace(settings, most_windows=settings.most_windows * (PARTS - 1) // PARTS)  # as many for each label
    unseen = [np.flatnonzero(near[i]) for i in usable]
    candidates = personalise(group, pool, [learned[i] for i in usable], fewer, seed, jobs=jobs, unseen=unseen)
    tested = np.concatenate([held_out[i] for i in usable])
    answers = [candidates.opinions(pool.take(labelled[held_out[i]])).levels[run] for run, i in enumerate(usable)]
    truth = pool.labels[labelled[tested]]
    before, after = score(truth, in_use[tested]), score(truth, np.concatenate(answers))
    always = constant(truth, majority(truth))
    return _verdict(before.f1_present, after.f1_present, always.f1_present, len(tested))


def near_in_time(times: NDArray[Any], others: NDArray[Any], gap: float) -> NDArray[np.bool_]:
    """(N,) whether a time is no more than `gap` away from any of `others`, in the same unit."""
    if not len(others):
        return np.zeros(len(times), bool)
    near: NDArray[np.bool_] = np.abs(times[:, None] - others).min(axis=1) <= gap
    return near


def gap_between(group: GroupModel) -> float:
    """Seconds, 0 to `GAP_S`, that labels learned from are away from those held out.

    `GAP_S`, so that no measurement is shared; less where labels hold for less, for a near copy tells nothing then.
    """
    return min(GAP_S, group.persistence_s)


def _verdict(before: float, after: float, always: float, labels: int) -> Verdict:
    better = after > before
    words = "better" if better else "not better"
    beside = f"the model in use has {before:.2f}, always giving the commonest answer {always:.2f}"
    reason = f"{words} on {labels} held-out labels: macro-F1 {after:.2f}, {beside}"
    return Verdict(better, reason, before, after, always, labels)


def _refused(reason: str) -> Verdict:
    return Verdict(False, reason, np.nan, np.nan, np.nan, 0)
