"""The one form in which training and evaluation see data: people, and their labelled windows.

An adapter in `training.data` brings each data set into it; whatever learns or measures reads nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray, Level, Modality
from mmal_ros.features.names import FEATURE_SETS
from mmal_ros.windowing import LEAST_COVERAGE

Rows = NDArray[np.int64] | NDArray[np.bool_] | slice


class DataError(ValueError):
    """The data is not what the adapter reads, and no documented repair fits; the message names file and place."""


@dataclass(frozen=True, slots=True, eq=False)
class PersonWindows:
    """All labelled windows of one person, in the order of time within each block. N windows of T steps."""

    code: str
    """Who: a code, never a name."""
    features: Mapping[Modality, FloatArray]
    """(N, T, D) per modality as measured, finite; 0 where the mask is 0."""
    mask: Mapping[Modality, FloatArray]
    """(N, T) per modality, 1: measured, 0: not known."""
    labels: NDArray[np.int64]
    """(N,) index into `DataSet.classes`."""
    times_s: NDArray[np.float64]
    """(N,) middle of the window; the origin is the person's own."""
    blocks: NDArray[np.int64]
    """(N,) which stretch of recording the window is from: 0, 1, ... Time runs without a break within one."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Rows) -> PersonWindows:
        """Only these windows."""
        return PersonWindows(
            self.code,
            {modality: values[rows] for modality, values in self.features.items()},
            {modality: values[rows] for modality, values in self.mask.items()},
            self.labels[rows],
            self.times_s[rows],
            self.blocks[rows],
        )

    def heard(self, modality: Modality) -> NDArray[np.bool_]:
        """(N,) whether enough steps are known for the modality to vote, by the rule of the live graph."""
        enough: NDArray[np.bool_] = self.mask[modality].mean(axis=1) >= LEAST_COVERAGE
        return enough


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """People with the same modalities, features and classes."""

    name: str
    source: str
    """Where it is from, to be cited with every figure; for made data: that it is made."""
    classes: tuple[str, ...]
    """Two or three names; the label is the index. A set with two classes leaves the third output unused."""
    features: Mapping[Modality, tuple[str, ...]]
    """Names of the D features of each modality, in the order of the arrays."""
    people: tuple[PersonWindows, ...]
    gap_s: float
    """Windows of one person closer in time than this are near copies: an evaluation leaves so much out, in each block,
    between what may be labelled and what is tested."""
    repairs: tuple[str, ...] = field(default=())
    """What the adapter mended, one sentence each."""
    only_trained_on: tuple[str, ...] = ()
    """Codes of the group, where the set names one: nobody in it is tested. Empty: whoever is tested is left out."""
    timed: bool = True
    """False: `times_s` only numbers the rows of a file that lost its times, so no label may be spread in it."""
    feature_sets: Mapping[Modality, str] = field(default_factory=dict)
    """Key of `features.names.FEATURE_SETS` of each modality whose features the live extractors make."""
    labelled: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    """Of recorded sessions, by person and session: the end of every labelled window, in ns since the epoch."""

    def __post_init__(self) -> None:
        """Check what everything else relies on; raises DataError."""
        check(self)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities of the set, in the order of `Modality`."""
        return tuple(modality for modality in Modality if modality in self.features)

    @property
    def steps(self) -> int:
        """T."""
        return int(self.people[0].mask[self.modalities[0]].shape[1])

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all people."""
        return tuple(person.code for person in self.people)

    @property
    def tested(self) -> tuple[str, ...]:
        """Codes of the people on whom is tested."""
        return tuple(code for code in self.codes if code not in self.only_trained_on)

    def group_without(self, code: str) -> tuple[PersonWindows, ...]:
        """The training people where this person is tested: the named group, or everybody else."""
        named = set(self.only_trained_on) - {code}
        return tuple(p for p in self.people if (p.code in named if named else p.code != code))

    def of(self, codes: Sequence[str]) -> tuple[PersonWindows, ...]:
        """The people with these codes, in that order; raises DataError."""
        known = {person.code: person for person in self.people}
        for code in codes:
            if code not in known:
                raise DataError(f"{self.name} has no person '{code}'; there are {', '.join(known)}")
        return tuple(known[code] for code in codes)

    def fingerprint(self) -> str:
        """Names the data: other numbers, other name."""
        digest = hashlib.sha256(repr((self.classes, sorted(self.features.items()))).encode())
        for person in self.people:
            digest.update(person.code.encode())
            for array in (*_arrays(person), person.labels, person.times_s, person.blocks):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the rows 0 to `count` - 1, evenly taken: neighbours are near copies."""
    return np.linspace(0, count - 1, max(0, min(count, most))).astype(np.int64)


def check(data: DataSet) -> None:
    """Refuse what would train or evaluate wrongly without a sound; raises DataError."""
    if not data.people:
        raise DataError(f"{data.name}: there are no people in it")
    if not data.features:
        raise DataError(f"{data.name}: there is no modality in it")
    if not 2 <= len(data.classes) <= len(Level):
        raise DataError(f"{data.name}: {len(data.classes)} classes; two or three are possible")
    doubled = {code for code in data.codes if data.codes.count(code) > 1}
    if doubled:
        raise DataError(f"{data.name}: two people are called '{sorted(doubled)[0]}'")
    for modality, name in data.feature_sets.items():
        owner, names = FEATURE_SETS.get(name, (None, ()))
        if owner is not modality or len(names) != len(data.features.get(modality, ())):
            raise DataError(f"{data.name}: the features of {modality} are not '{name}', or not in the number of it")
    for person in data.people:
        _check_person(f"{data.name}, person '{person.code}'", data, person)


def _check_person(where: str, data: DataSet, person: PersonWindows) -> None:
    count, steps = len(person), data.steps
    if count == 0:
        raise DataError(f"{where}: no windows")
    for modality, names in data.features.items():
        values, mask = person.features.get(modality), person.mask.get(modality)
        expected = (count, steps, len(names))
        if values is None or mask is None or values.shape != expected or mask.shape != expected[:2]:
            found = None if values is None else values.shape
            raise DataError(
                f"{where}: features of {modality} are {found}, expected {expected}, and a mask for each step"
            )
        bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
        if len(bad):
            raise DataError(f"{where}: window {bad[0]} has a {modality} feature that is not a finite number")
    if person.labels.min() < 0 or person.labels.max() >= len(data.classes):
        raise DataError(f"{where}: a label is {person.labels.max()}; the classes are 0 to {len(data.classes) - 1}")
    _check_times(where, person)


def _check_times(where: str, person: PersonWindows) -> None:
    if len(np.flatnonzero(np.diff(person.blocks))) + 1 != len(np.unique(person.blocks)):
        raise DataError(f"{where}: the windows of a block do not stand together")
    for block in np.unique(person.blocks):
        steps = np.diff(person.times_s[person.blocks == block])
        if (steps <= 0).any():
            row = int(np.flatnonzero(steps <= 0)[0])
            raise DataError(f"{where}: in block {block} the time of window {row + 1} does not rise")
    if blocks_overlap(person.times_s, person.blocks):
        raise DataError(f"{where}: two blocks were recorded at the same time; give all blocks one axis of time")


def blocks_overlap(times_s: NDArray[np.float64], blocks: NDArray[np.int64]) -> bool:
    """Whether two stretches of recording seem to have been at the same time: each counts from its own zero."""
    spans = sorted((times_s[blocks == block].min(), times_s[blocks == block].max()) for block in np.unique(blocks))
    return any(later[0] <= earlier[1] for earlier, later in pairwise(spans))


def _arrays(person: PersonWindows) -> list[FloatArray]:
    return [part[modality] for modality in sorted(person.features) for part in (person.features, person.mask)]
