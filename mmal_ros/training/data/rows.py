"""Rows of a table, one a window, brought together into people: sorted, cut into stretches, gaps marked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray, Modality
from mmal_ros.training.data.missing import Values, held, typical
from mmal_ros.training.people import DataError, PersonWindows, blocks_overlap

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """N windows of T steps as a file has them, in its order."""

    where: str
    """The file, for messages."""
    lines: Integers
    """(N,) where in the file."""
    people: Sequence[str]
    """N codes."""
    stretches: Sequence[Hashable]
    """N names of stretches of recording; equal only within one."""
    times_s: NDArray[np.float64]
    """(N,)."""
    labels: Integers
    """(N,) index of the class."""
    values: Mapping[Modality, Values]
    """(N, T, D), NaN: missing."""


def assemble(
    rows: Rows, features: Mapping[Modality, Sequence[str]], break_s: float
) -> tuple[tuple[PersonWindows, ...], tuple[str, ...]]:
    """People in the order of their codes, and what was mended, one sentence each.

    Rows of a stretch that are not in the order of time are sorted; a stretch ends where the next row of it is more
    than `break_s` later; what is missing is marked or held by the rule of `data.missing`.

    Raises:
        DataError: a time is missing, two rows of a stretch have the same time, or a feature was never measured.
    """
    _check_times(rows)
    levels = {modality: typical(values) for modality, values in rows.values.items()}
    _check_measured(rows, features, levels)
    owners = np.array(rows.people)
    mended: Counter[str] = Counter()
    people = tuple(
        _person(rows, code, np.flatnonzero(owners == code), levels, break_s, mended) for code in in_order(rows.people)
    )
    return people, tuple(f"{count} {what}" for what, count in mended.items() if count)


def in_order(codes: Iterable[str]) -> list[str]:
    """Each code once, numbers in them by their value: PP2 before PP10."""
    return sorted(set(codes), key=lambda code: [(part.isdigit(), part.zfill(20)) for part in re.split(r"(\d+)", code)])


def numbered(stretches: Sequence[Hashable], times_s: NDArray[np.float64], break_s: float) -> Integers:
    """(N,) number of the block of each row: a new one with another stretch, and after more than `break_s`."""
    others = np.array([before != after for before, after in pairwise(stretches)], bool)
    blocks: Integers = np.cumsum(np.append(False, others | (np.diff(times_s) > break_s)), dtype=np.int64)
    return blocks


def one_class_only(people: Iterable[PersonWindows], classes: Sequence[str]) -> tuple[str, ...]:
    """A sentence for everybody whose windows are all of one class.

    Such people stay in: the paper's test children have some (MMQL 2019, table 1). But of them a macro-F1 over the
    classes present says no more than the accuracy, and a person's own model has nothing to tell apart.
    """
    return tuple(
        f"{person.code} has windows of '{classes[person.labels[0]]}' only; kept, as such people exist"
        for person in people
        if len(np.unique(person.labels)) == 1
    )


def _check_times(rows: Rows) -> None:
    missing = np.flatnonzero(~np.isfinite(rows.times_s))
    if len(missing):
        raise DataError(f"{rows.where}, line {rows.lines[missing[0]]}: there is no time")
    seen: dict[tuple[str, Hashable, float], int] = {}
    for line, *moment in zip(rows.lines.tolist(), rows.people, rows.stretches, rows.times_s.tolist(), strict=True):
        first = seen.setdefault((moment[0], moment[1], moment[2]), line)
        if first != line:
            raise DataError(
                f"{rows.where}, line {line}: '{moment[0]}' has a window at {moment[2]:.12g} s already (line {first}); "
                "delete one of them, or name the column that tells their recordings apart as the block"
            )


def _check_measured(rows: Rows, features: Mapping[Modality, Sequence[str]], levels: Mapping[Modality, Values]) -> None:
    for modality, names in features.items():
        empty = np.flatnonzero(np.isnan(levels[modality]))
        if len(empty):
            raise DataError(f"{rows.where}: column '{names[empty[0]]}' of {modality} holds no number in any row")


def _person(
    rows: Rows, code: str, mine: Integers, levels: Mapping[Modality, Values], break_s: float, mended: Counter[str]
) -> PersonWindows:
    mine, falls = _sorted(rows, mine)
    mended["rows were earlier than the row before; sorted within their stretch"] += falls
    times_s = rows.times_s[mine]
    blocks = numbered([rows.stretches[row] for row in mine], times_s, break_s)
    features: dict[Modality, FloatArray] = {}
    mask: dict[Modality, FloatArray] = {}
    for modality, values in rows.values.items():
        parts = [held(values[mine[blocks == block]], levels[modality]) for block in np.unique(blocks)]
        features[modality] = np.concatenate([part[0] for part in parts])
        mask[modality] = np.concatenate([part[1] for part in parts])
        mended[f"single missing numbers of {modality} hold the last value before them"] += sum(p[2] for p in parts)
    if blocks_overlap(times_s, blocks):
        times_s = _one_after_the_other(times_s, blocks, break_s)
        mended["people had recordings that each count from their own zero; laid one after the other"] += 1
    return PersonWindows(code, features, mask, rows.labels[mine], times_s - times_s.min(), blocks)


def _one_after_the_other(times_s: NDArray[np.float64], blocks: Integers, break_s: float) -> NDArray[np.float64]:
    """The times with every block beginning `break_s` after the end of the one before."""
    laid, end_s = times_s.copy(), -break_s
    for block in np.unique(blocks):
        mine = blocks == block
        laid[mine] += end_s + break_s - times_s[mine].min()
        end_s = float(laid[mine].max())
    return laid


def _sorted(rows: Rows, mine: Integers) -> tuple[Integers, int]:
    """The rows of a person, stretch by stretch as they first come, and how often time went back within one."""
    places: dict[Hashable, int] = {}
    stretch = np.array([places.setdefault(rows.stretches[row], len(places)) for row in mine])
    by_stretch = np.argsort(stretch, kind="stable")
    falls = (np.diff(rows.times_s[mine][by_stretch]) < 0) & (np.diff(stretch[by_stretch]) == 0)
    return mine[np.lexsort((rows.times_s[mine], stretch))], int(falls.sum())
