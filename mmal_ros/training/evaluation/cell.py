"""One cell: a person whom the group has not seen, one seed; every selector, budget and personaliser.

All start from the same group model and see the same pool. The labels of the pool are looked at where a selector asked
and nowhere else, those of the test windows only to score.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import Modality
from mmal_ros.paths import cache_folder
from mmal_ros.selector import Candidates, Criterion, FirstAsked
from mmal_ros.training.data import load_data_set
from mmal_ros.training.evaluation.protocol import random_remainder, time_blocked
from mmal_ros.training.evaluation.settings import (
    ALL_LABELS,
    BEFORE,
    MAIN_VARIANT,
    OWN_DATA_ONLY,
    TIME_BLOCKED,
    Cell,
    Protocol,
    Row,
    Settings,
)
from mmal_ros.training.group.models import GroupModel, GroupSettings
from mmal_ros.training.group.store import stored_group
from mmal_ros.training.group.windows import FEATURE_FUSION
from mmal_ros.training.metrics import NO_ANSWER, score_columns
from mmal_ros.training.people import DataSet, PersonWindows
from mmal_ros.training.person.personalise import PERSONALISERS, Opinions, Personalisation, group_only, personalise
from mmal_ros.training.policy.policies import trained_criteria
from mmal_ros.training.pool_selection import SELECTORS, make_selector
from mmal_ros.window_vectors import window_vectors

Rows = NDArray[np.int64]
GROUP_SEED = 0
"""One group model and one policy for all seeds, so that selectors differ in what they select and in nothing else."""
MOST_AT_ONCE = 100
"""Choices of more labels than this are learned from one by one: a group is padded to its largest member."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What one selector asked about within one budget."""

    selector: str
    budget: int
    rows: Rows
    """Of the pool, in the order of asking."""
    searched: float


def run_cell(cell: Cell, settings: Settings) -> list[Row]:
    """All rows of one person and one seed."""
    data = _data(settings.data_set, settings.folder)
    person = data.of([cell.person])[0]
    group = _group(data, tuple(trainer.code for trainer in data.group_without(cell.person)))
    needed = any(SELECTORS[name].needs for name in settings.selectors if name in SELECTORS)
    trained = _trained(group) if needed else {}
    return [
        row
        for protocol in settings.protocols
        for row in _protocol_rows(protocol, cell, settings, data, person, group, trained)
    ]


def candidates_of(group: GroupModel, windows: PersonWindows) -> Candidates:
    """Windows of a person as selectors see them, in the order of `windows`, which has to be that of time."""
    known = group_only(group, windows)
    opinions, vectors = known.opinions(windows), window_vectors(windows.features, windows.mask, known.scale)
    return Candidates(opinions.probabilities[0], opinions.heard, vectors, windows.times_s)


def _protocol_rows(
    protocol: Protocol,
    cell: Cell,
    settings: Settings,
    data: DataSet,
    person: PersonWindows,
    group: GroupModel,
    trained: Mapping[str, Criterion],
) -> Iterator[Row]:
    split = time_blocked(person, data.gap_s, settings.pool_share) if protocol == TIME_BLOCKED else None
    pool_rows = np.arange(len(person)) if split is None else split.pool
    pool_rows = pool_rows[np.argsort(person.times_s[pool_rows], kind="stable")]
    pool = person.take(pool_rows)
    choices = list(_choices(candidates_of(group, pool), settings, cell.seed, trained))
    tests = [random_remainder(person, pool_rows[c.rows]).test if split is None else split.test for c in choices]
    for name in settings.personalisers:
        began = perf_counter()
        answers = _answers(_personaliser(name, data), group, pool, person, choices, cell.seed, settings.device)
        seconds = (perf_counter() - began) / len(choices)
        for choice, test, by_variant in zip(choices, tests, answers, strict=True):
            for variant, levels in by_variant.items():
                yield {
                    "dataset": data.name,
                    "person": cell.person,
                    "seed": cell.seed,
                    "protocol": protocol,
                    "selector": choice.selector,
                    "budget": choice.budget,
                    "personaliser": name,
                    "variant": variant,
                    "asked": len(choice.rows),
                    "searched": choice.searched,
                    **score_columns(person.labels[test], levels[test], pool.labels, len(data.classes)),
                    "seconds": seconds,
                }


def _choices(
    candidates: Candidates, settings: Settings, seed: int, trained: Mapping[str, Criterion]
) -> Iterator[Choice]:
    """What every selector asks about, for every budget."""
    for name in settings.selectors:
        if name == ALL_LABELS:
            yield Choice(name, len(candidates), np.arange(len(candidates)), np.nan)
            continue
        selector = make_selector(name, trained)
        for budget in settings.budgets:
            rows = selector.select(candidates, budget, _random(name, budget, seed))
            searched = np.nan
            if isinstance(selector, FirstAsked):
                searched = selector.searched_share(candidates, budget, _random(name, budget, seed))
            yield Choice(name, budget, rows, searched)


def _random(name: str, budget: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, budget, zlib.crc32(name.encode())])


def _personaliser(name: str, data: DataSet) -> Personalisation | None:
    """None: the group model as it is. Where the times are lost no label speaks for another window."""
    if name == BEFORE:
        return None
    personaliser = PERSONALISERS[name]
    return personaliser if data.timed else replace(personaliser, spreads=False)


def _answers(
    personaliser: Personalisation | None,
    group: GroupModel,
    pool: PersonWindows,
    person: PersonWindows,
    choices: Sequence[Choice],
    seed: int,
    device: str,
) -> list[dict[str, Rows]]:
    """For each choice the level (N,) of each of the person's windows, by variant."""
    if personaliser is None:
        return list(_by_variant(group_only(group, pool).opinions(person))) * len(choices)
    small = [i for i, choice in enumerate(choices) if len(choice.rows) <= MOST_AT_ONCE]
    parts = [small] if small else []
    parts += [[i] for i, choice in enumerate(choices) if len(choice.rows) > MOST_AT_ONCE]
    found: dict[int, dict[str, Rows]] = {}
    for part in parts:
        learned = personalise(group, pool, [choices[i].rows for i in part], personaliser, seed, device)
        found |= dict(zip(part, _by_variant(learned.opinions(person), personaliser), strict=True))
    return [found[i] for i in range(len(choices))]


def _by_variant(opinions: Opinions, settings: Personalisation | None = None) -> Iterator[dict[str, Rows]]:
    """The levels (N,) that each run answers, by variant."""
    main = opinions.levels
    for run in range(len(main)):
        levels = {MAIN_VARIANT: main[run]}
        if settings is None or settings.name != OWN_DATA_ONLY:
            for column, modality in enumerate(Modality):
                if opinions.heard[:, column].any():
                    likeliest = opinions.probabilities[run, :, column].argmax(axis=1)
                    levels[modality.value] = np.where(opinions.heard[:, column], likeliest, NO_ANSWER)
            if opinions.fused_features is not None:
                likeliest = opinions.fused_features[run].argmax(axis=1)
                levels[FEATURE_FUSION] = np.where(opinions.heard.any(axis=1), likeliest, NO_ANSWER)
        yield levels


@lru_cache(maxsize=1)
def _data(name: str, folder: Path | None) -> DataSet:
    return load_data_set(name, folder)


@lru_cache(maxsize=1)
def _fingerprint(data: DataSet) -> str:
    return data.fingerprint()


@lru_cache(maxsize=4)
def _group(data: DataSet, codes: tuple[str, ...]) -> GroupModel:
    """By who is in it: where a set names its group, everybody who is tested has the same one."""
    return stored_group(data.of(codes), _fingerprint(data), GroupSettings(), GROUP_SEED, fused=True)


@lru_cache(maxsize=4)
def _trained(group: GroupModel) -> Mapping[str, Criterion]:
    return trained_criteria(group, GROUP_SEED, cache_folder() / "policies")
