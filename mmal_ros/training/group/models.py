"""The group's classifiers: what is known before the new person has given a single label.

They work on standardised windows. `centred`: every person's windows are standardised by her own unlabelled windows,
so that what is learned is what changes within a person; else by all training people's together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray, Level, Modality
from mmal_ros.training.group.fit import Windows, fit, statistics, temperature_of
from mmal_ros.training.group.grouped import GroupedClassifiers
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.group.persistence import persistence_s
from mmal_ros.training.people import PersonWindows
from mmal_ros.window_vectors import Scale, window_vectors

FEATURE_FUSION = "feature-fusion"
"""The classifier that sees the features of all modalities at once (MMQL 2019, sec. 4.1)."""
MODALITIES = tuple(Modality)
MODALITY_SEED = 1_000
Fitter = Callable[[Windows, int], EngagementLSTM]
"""`fit.fit`, or what keeps the network besides (`store.stored_fit`)."""


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """How the group's classifiers are trained."""

    centred: bool = True
    """Standardise each person by her own windows."""
    windows_per_person: int = 500
    """Evenly taken from each training person: neighbours are near copies."""
    replayed: int = 300
    """Windows of all training people together that are kept to be replayed."""
    folds: int = 4
    """Groups of training people, each scored by networks that have not seen it; 1: no calibration."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Windows of one person as the classifiers see them."""

    code: str
    probabilities: FloatArray
    """(N, 4, 3) calibrated; 1/3 where not heard."""
    heard: NDArray[np.bool_]
    """(N, 4)."""
    vectors: FloatArray
    """(N, E) by `window_vectors`: the content of the windows."""
    labels: NDArray[np.int64]
    """(N,)."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupModel:
    """Calibrated classifiers by modality, and one on all features; what the training people tell besides."""

    networks: Mapping[str, EngagementLSTM]
    """By `Modality`, those that any training person is heard in, and `FEATURE_FUSION`. On standardised windows."""
    scale: Scale
    """Of the training people: for a person of whom nothing is known yet."""
    centred: bool
    persistence_s: float
    held_out: tuple[Scored, ...]
    """Every training person, scored by networks that have not seen her."""
    replayed: PersonWindows
    """Some standardised windows of all training people, as if they were one."""

    def scale_of(self, person: PersonWindows) -> Scale:
        """What to standardise a person by, from unlabelled windows of hers."""
        return scale_of([person]) if self.centred else self.scale


def fit_group(
    people: Sequence[PersonWindows], settings: GroupSettings, seed: int, fused: bool = False, fitter: Fitter = fit
) -> GroupModel:
    """Train, and calibrate on people held out; the same people, settings and seed give the same model.

    Args:
        people: the training people, one at least. A single one is cut in two halves of time that stand in for two
            people, where somebody has to be held out: that calibration flatters.
        settings: how.
        seed: of weights, order and noise.
        fused: train the classifier on all features, too.
        fitter: trains each of the networks.
    """
    scale = scale_of(people)
    persons = [
        standardised(thinned(p, settings.windows_per_person), scale_of([p]) if settings.centred else scale)
        for p in people
    ]
    if len(persons) == 1:
        persons = [persons[0].take(rows) for rows in np.array_split(np.arange(len(persons[0])), 2)]
    names = [*heard_modalities(people), *([FEATURE_FUSION] if fused else [])]
    folds = folds_of(len(persons), settings.folds)
    networks, logits = {}, {}
    for number, name in enumerate(names):
        networks[name] = fitter(_stacked(persons, name), seed + MODALITY_SEED * number)
        logits[name] = _held_out_logits(persons, folds, name, seed + MODALITY_SEED * number, fitter)
        networks[name].temperature.fill_(_temperature(persons, logits[name], name))
    held_out = tuple(_scored(persons[i], i, networks, logits) for fold in folds for i in fold)
    replayed = joined([thinned(p, max(1, settings.replayed // len(persons))) for p in persons])
    return GroupModel(networks, scale, settings.centred, persistence_s(people), held_out, replayed)


def heard_modalities(people: Sequence[PersonWindows]) -> list[Modality]:
    """The modalities in which anybody is heard: those that there is a classifier of."""
    return [m for m in MODALITIES if m in people[0].features and any(person.heard(m).any() for person in people)]


def folds_of(people: int, most: int) -> list[range]:
    """Who is held out together, by index; nobody where there would be one fold only."""
    count = min(most, people)
    return [range(k, people, count) for k in range(count)] if count > 1 else []


def scale_of(people: Sequence[PersonWindows]) -> Scale:
    """Mean and deviation of all known steps of these people, by modality."""
    mean, deviation = {}, {}
    for modality in (m for m in MODALITIES if m in people[0].features):
        known = np.concatenate([person.features[modality][person.mask[modality] > 0] for person in people])
        if not len(known):
            known = np.zeros((1, people[0].features[modality].shape[2]), np.float32)
        mean[modality], deviation[modality] = statistics(known[:, None], np.ones((len(known), 1), np.float32))
        deviation[modality] = np.where(deviation[modality] > 0, deviation[modality], 1).astype(np.float32)
    return Scale(mean, deviation)


def standardised(person: PersonWindows, scale: Scale) -> PersonWindows:
    """The person's windows in deviations from the mean; 0 where not known."""
    features = {
        modality: ((values - scale.mean[modality]) / scale.deviation[modality]) * person.mask[modality][..., None]
        for modality, values in person.features.items()
    }
    return PersonWindows(person.code, features, person.mask, person.labels, person.times_s, person.blocks)


def _of_standardised(person: PersonWindows) -> Scale:
    """What standardised windows are standardised by: nothing changes."""
    sizes = {m: person.features[m].shape[2] for m in MODALITIES if m in person.features}
    return Scale(
        {m: np.zeros(size, np.float32) for m, size in sizes.items()},
        {m: np.ones(size, np.float32) for m, size in sizes.items()},
    )


def inputs(person: PersonWindows, name: str) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Features (N, T, D), mask (N, T) and whether the classifier can be asked (N,), of standardised windows.

    For `FEATURE_FUSION` a modality that is not known stands at its mean; it can be asked where any modality is heard.
    """
    if name != FEATURE_FUSION:
        return person.features[Modality(name)], person.mask[Modality(name)], person.heard(Modality(name))
    present = [modality for modality in MODALITIES if modality in person.features]
    features = np.concatenate([person.features[m] * person.mask[m][..., None] for m in present], axis=2)
    mask = np.max([person.mask[m] for m in present], axis=0)
    return features, mask, np.any([person.heard(m) for m in present], axis=0)


def score(networks: Mapping[str, GroupedClassifiers], person: PersonWindows) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Probabilities (G, N, 4, 3) of each of G runs, and (N, 4) what was heard, of standardised windows."""
    runs = len(next(iter(networks.values())))
    probabilities = np.full((runs, len(person), len(MODALITIES), len(Level)), 1 / len(Level), np.float32)
    heard = np.zeros((len(person), len(MODALITIES)), np.bool_)
    for name, grouped in networks.items():
        if name == FEATURE_FUSION:
            continue
        column = MODALITIES.index(Modality(name))
        features, mask, heard[:, column] = inputs(person, name)
        found = grouped.probabilities(features, mask)
        probabilities[:, heard[:, column], column] = found[:, heard[:, column]]
    return probabilities, heard


def joined(people: Sequence[PersonWindows]) -> PersonWindows:
    """The windows of several people, as if they were one; blocks count on."""
    blocks, first = [], 0
    for person in people:
        blocks.append(person.blocks + first)
        first = int(blocks[-1].max()) + 1
    return PersonWindows(
        "+".join(person.code for person in people),
        {m: np.concatenate([person.features[m] for person in people]) for m in people[0].features},
        {m: np.concatenate([person.mask[m] for person in people]) for m in people[0].mask},
        np.concatenate([person.labels for person in people]),
        np.concatenate([person.times_s for person in people]),
        np.concatenate(blocks),
    )


def thinned(person: PersonWindows, count: int) -> PersonWindows:
    """At most `count` windows, evenly taken."""
    if len(person) <= count:
        return person
    return person.take(np.linspace(0, len(person) - 1, count).astype(np.int64))


def _stacked(persons: Sequence[PersonWindows], name: str) -> Windows:
    parts = [
        (*(part[heard] for part in (features, mask)), person.labels[heard])
        for person in persons
        for features, mask, heard in [inputs(person, name)]
    ]
    features, masks, labels = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(masks), np.concatenate(labels)


def _held_out_logits(
    persons: Sequence[PersonWindows], folds: Sequence[range], name: str, seed: int, fitter: Fitter
) -> dict[int, FloatArray]:
    """(N, 3) per person, by networks that have not seen her."""
    found: dict[int, FloatArray] = {}
    for fold in folds:
        windows = _stacked([p for i, p in enumerate(persons) if i not in fold], name)
        if not len(windows[0]):  # nobody else was ever heard in this modality, so nothing is known of it
            found |= {i: np.zeros((len(persons[i]), len(Level)), np.float32) for i in fold}
            continue
        network = fitter(windows, seed)
        for i in fold:
            features, mask, _ = inputs(persons[i], name)
            with torch.no_grad():
                found[i] = network.logits(torch.from_numpy(features), torch.from_numpy(mask)).numpy()
    return found


def _temperature(persons: Sequence[PersonWindows], logits: Mapping[int, FloatArray], name: str) -> float:
    heard = {i: inputs(persons[i], name)[2] for i in logits}
    if not any(rows.any() for rows in heard.values()):
        return 1.0
    known = np.concatenate([logits[i][heard[i]] for i in logits])
    return temperature_of(known, np.concatenate([persons[i].labels[heard[i]] for i in logits]))


def _scored(
    person: PersonWindows,
    index: int,
    networks: Mapping[str, EngagementLSTM],
    logits: Mapping[str, Mapping[int, FloatArray]],
) -> Scored:
    probabilities = np.full((len(person), len(MODALITIES), len(Level)), 1 / len(Level), np.float32)
    heard = np.zeros((len(person), len(MODALITIES)), np.bool_)
    for column, modality in _columns(networks):
        rows = person.heard(modality)
        calibrated = torch.from_numpy(logits[modality][index]) / networks[modality].temperature
        probabilities[rows, column] = torch.softmax(calibrated, dim=1).numpy()[rows]
        heard[:, column] = rows
    vectors = window_vectors(person.features, person.mask, _of_standardised(person))
    return Scored(person.code, probabilities, heard, vectors, person.labels)


def _columns(networks: Mapping[str, EngagementLSTM]) -> Iterator[tuple[int, Modality]]:
    return ((column, modality) for column, modality in enumerate(MODALITIES) if modality in networks)
