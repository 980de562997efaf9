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
from mmal_ros.training.group.fit import Windows, fit, temperature_of
from mmal_ros.training.group.grouped import GroupedClassifiers
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.group.persistence import persistence_s
from mmal_ros.training.group.windows import (
    FEATURE_FUSION,
    MODALITIES,
    heard_modalities,
    inputs,
    joined,
    of_standardised,
    scale_of,
    stacked,
    standardised,
    thinned,
)
from mmal_ros.training.people import PersonWindows
from mmal_ros.window_vectors import Scale, window_vectors

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
    kept = [thinned(person, settings.windows_per_person) for person in people]
    scale = scale_of(kept)
    persons = [standardised(person, scale_of([person]) if settings.centred else scale) for person in kept]
    if len(persons) == 1:
        persons = [persons[0].take(rows) for rows in np.array_split(np.arange(len(persons[0])), 2)]
    names = [*heard_modalities(kept), *([FEATURE_FUSION] if fused else [])]
    folds = folds_of(len(persons), settings.folds)
    networks, logits = {}, {}
    for number, name in enumerate(names):
        networks[name] = fitter(stacked(persons, name), seed + MODALITY_SEED * number)
        logits[name] = _held_out_logits(persons, folds, name, seed + MODALITY_SEED * number, fitter)
        networks[name].temperature.fill_(_temperature(persons, logits[name], name))
    held_out = tuple(_scored(persons[i], i, networks, logits) for fold in folds for i in fold)
    replayed = joined([thinned(p, max(1, settings.replayed // len(persons))) for p in persons])
    return GroupModel(networks, scale, settings.centred, persistence_s(people), held_out, replayed)


def folds_of(people: int, most: int) -> list[range]:
    """Who is held out together, by index; nobody where there would be one fold only."""
    count = min(most, people)
    return [range(k, people, count) for k in range(count)] if count > 1 else []


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


def _held_out_logits(
    persons: Sequence[PersonWindows], folds: Sequence[range], name: str, seed: int, fitter: Fitter
) -> dict[int, FloatArray]:
    """(N, 3) per person, by networks that have not seen her."""
    found: dict[int, FloatArray] = {}
    for fold in folds:
        windows = stacked([p for i, p in enumerate(persons) if i not in fold], name)
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
    vectors = window_vectors(person.features, person.mask, of_standardised(person))
    return Scored(person.code, probabilities, heard, vectors, person.labels)


def _columns(networks: Mapping[str, EngagementLSTM]) -> Iterator[tuple[int, Modality]]:
    return ((column, modality) for column, modality in enumerate(MODALITIES) if modality in networks)
