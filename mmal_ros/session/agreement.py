"""What several coders of a session agree on: the labels that count for training, and how well they agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import Level
from mmal_ros.session.records import Label
from mmal_ros.session.store import standing

Pair = tuple[str, str]
"""Codes of two coders, in the order of the alphabet."""


@dataclass(frozen=True, slots=True)
class AgreementRule:
    """Whose word counts where several coders labelled a window.

    A level counts when more than half of those who said something of the window named it. Who cannot tell, or calls the
    capture bad, has said something: a window is taught to nobody while as many doubt it. A tie is no label.
    """

    lead: str | None = None
    """Code of the coder whose word alone counts, doubts included, wherever there is one; elsewhere the majority's."""


@dataclass(frozen=True, slots=True)
class TrainingLabel:
    """What a classifier may learn of a window."""

    window_id: int
    stamp_ns: int
    """End of the window."""
    level: Level


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the coders of a session say the same: of windows for which they named a level, low, medium or high."""

    annotators: tuple[str, ...]
    """Codes of all who labelled anything, in the order of the alphabet."""
    windows: int
    """For which at least two of them named a level."""
    both: Mapping[Pair, int]
    """For how many windows both coders of a pair named a level: what their kappa stands on."""
    kappa: Mapping[Pair, float | None]
    """Cohen's kappa of each pair, not weighted: 1 always equal, 0 as chance has it. None: not defined."""
    alpha: float | None
    """Krippendorff's alpha of all coders, for ordered levels: low and high differ more than neighbours do. None: not
    defined, because nothing was labelled twice or everything was labelled the same."""


def training_labels(labels: Sequence[Label], rule: AgreementRule | None = None) -> list[TrainingLabel]:
    """What counts for training, in the order of time: at most one level per window.

    Args:
        labels: of one session, the standing ones or all that were ever given.
        rule: whose word counts; by default the majority's.
    """
    lead = rule.lead if rule else None
    found = []
    for words in _by_window(standing(labels)).values():
        level = _level([word for word in words if word.annotator == lead] or words)
        if level is not None:
            found.append(TrainingLabel(words[0].window_id, words[0].stamp_ns, level))
    return found


def agreement(labels: Sequence[Label]) -> Agreement:
    """How well the coders agree, by the labels of one session: the standing ones or all that were ever given.

    Sources: Cohen 1960; Krippendorff, Content Analysis (2004), ch. 11, ordinal difference.
    """
    labels = standing(labels)
    coders = sorted({label.annotator for label in labels})
    table = _table(labels, coders)
    rated = ~np.isnan(table)
    pairs = list(combinations(range(len(coders)), 2))
    names = {(i, j): (coders[i], coders[j]) for i, j in pairs}
    return Agreement(
        annotators=tuple(coders),
        windows=int((rated.sum(axis=0) >= 2).sum()),
        both={names[i, j]: int((rated[i] & rated[j]).sum()) for i, j in pairs},
        kappa={names[i, j]: cohens_kappa(*table[[i, j]][:, rated[i] & rated[j]].astype(int)) for i, j in pairs},
        alpha=_alpha(table),
    )


def cohens_kappa(one: Iterable[int], other: Iterable[int]) -> float | None:
    """Agreement of two coders above chance, at most 1; None where chance alone would make them always agree."""
    pairs = list(zip(one, other, strict=True))
    if not pairs:
        return None
    mine, theirs = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    observed = sum(a == b for a, b in pairs) / len(pairs)
    chance = sum(mine[value] * theirs[value] for value in mine) / len(pairs) ** 2
    return None if chance == 1 else (observed - chance) / (1 - chance)


def _alpha(table: NDArray[np.float64]) -> float | None:
    rated_twice = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    if len(np.unique(rated_twice[~np.isnan(rated_twice)])) < 2:
        return None
    import krippendorff  # here, because it is not needed to read labels

    alpha = krippendorff.alpha(rated_twice, value_domain=list(Level), level_of_measurement="ordinal")
    return float(alpha) if math.isfinite(alpha) else None


def _table(labels: Sequence[Label], coders: Sequence[str]) -> NDArray[np.float64]:
    """(coders, windows) the level each coder named; NaN: none."""
    windows = {window: column for column, window in enumerate(_by_window(labels))}
    table = np.full((len(coders), len(windows)), np.nan)
    for label in labels:
        level = label.value.level if label.value else None
        if level is not None:
            table[coders.index(label.annotator), windows[label.window_id]] = level
    return table


def _by_window(labels: Sequence[Label]) -> dict[int, list[Label]]:
    found: dict[int, list[Label]] = {}
    for label in labels:
        found.setdefault(label.window_id, []).append(label)
    return found


def _level(words: Sequence[Label]) -> Level | None:
    """The level that more than half of them name."""
    votes = Counter(word.value.level for word in words if word.value)
    level, most = votes.most_common(1)[0]
    return level if 2 * most > len(words) else None
