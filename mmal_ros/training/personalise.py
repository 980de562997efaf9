"""Personalisation: from the group's classifiers and a few labels of a person to classifiers of that person.

Many choices of labels of the same person are learned from at once: the runs of an experiment, or the one of a
session. `FIDELITY` is algorithm 2 of MMQL 2019; `PRODUCT` adds what pays on real people (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from mmal_ros.datatypes import FloatArray, Level
from mmal_ros.selector import vote
from mmal_ros.training.fit import EPOCHS, LEARNING_RATE
from mmal_ros.training.group_models import FEATURE_FUSION, GroupModel, inputs, score, standardised
from mmal_ros.training.grouped import GroupedClassifiers, class_balanced
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.persistence import spread
from mmal_ros.window_vectors import Scale, window_vectors

Rows = NDArray[np.int64]
LEAST_WEIGHT = 0.02
"""A label that says less than this of another window says nothing of it."""


@dataclass(frozen=True, slots=True)
class Personalisation:
    """How a person's labels change the classifiers."""

    name: str
    epochs: int = 60
    """Passes over the labels; 0: the networks stay the group's."""
    batch: int | None = None
    """Windows per step; None: all at once, which needs no order and does not stall on five labels."""
    learning_rate: float = LEARNING_RATE
    class_balanced: bool = True
    """Every class that was labelled has the same say."""
    spreads: bool = True
    """A label also speaks for the unlabelled windows near it in time (`training.persistence`)."""
    most_windows: int = 120
    """The networks learn from at most so many windows: the labels, and those that the labels say most of."""
    replayed_share: float = 0.0
    """Share of the loss (0-1) that is on windows of the training people."""
    trees: int = 200
    """Of the second opinion, learned from this person's labels alone; 0: there is none."""
    trees_share: float = 0.5
    """Weight (0-1) of the second opinion beside the mean of the networks."""


FIDELITY = Personalisation("fidelity", EPOCHS, 10, class_balanced=False, spreads=False, trees=0)
"""The paper's recipe: ten epochs (MMQL 2019, sec. 4.1); the batch is ours, the paper names none."""
PRODUCT = Personalisation("product")
OWN_DATA_ONLY = Personalisation("own-data-only", epochs=0, spreads=False, trees_share=1.0)
"""The control: what the labels are worth without any group."""
PERSONALISERS = {personaliser.name: personaliser for personaliser in (FIDELITY, PRODUCT, OWN_DATA_ONLY)}


@dataclass(frozen=True, slots=True, eq=False)
class Opinions:
    """What G personalised models say of N windows."""

    probabilities: FloatArray
    """(G, N, 4, 3) by modality; 1/3 where not heard."""
    heard: NDArray[np.bool_]
    """(N, 4)."""
    fused_features: FloatArray | None
    """(G, N, 3) of the classifier on all features, where there is one."""
    second: FloatArray | None
    """(G, N, 3) of the trees; None: there are none."""
    second_share: float

    @property
    def levels(self) -> NDArray[np.int64]:
        """(G, N) the levels in the end: the majority vote, or with a second opinion the likeliest of the average.

        Where no modality is heard and there is no second opinion: -1.
        """
        if self.second is None:
            return np.stack([vote(of_run, self.heard) for of_run in self.probabilities])
        votes = np.maximum(self.heard.sum(axis=1), 1)[:, None]
        mean = (self.probabilities * self.heard[..., None]).sum(axis=2) / votes
        averaged = (1 - self.second_share) * mean + self.second_share * self.second
        levels: NDArray[np.int64] = averaged.argmax(axis=2)
        return levels


@dataclass(frozen=True, slots=True, eq=False)
class Personalised:
    """G models of one person, each from another choice of labels."""

    scale: Scale
    """What the windows are standardised by."""
    networks: Mapping[str, GroupedClassifiers]
    trees: Sequence[ExtraTreesClassifier]
    """G, or none."""
    trees_share: float

    def opinions(self, windows: PersonWindows) -> Opinions:
        """What each of the models says of windows of this person, as measured."""
        person = standardised(windows, self.scale)
        probabilities, heard = score(self.networks, person)
        fused = None
        if FEATURE_FUSION in self.networks:
            features, mask, _ = inputs(person, FEATURE_FUSION)
            fused = self.networks[FEATURE_FUSION].probabilities(features, mask)
        second = None
        if self.trees:
            rows = window_vectors(windows.features, windows.mask, self.scale)
            second = np.stack([_all_classes(trees, rows) for trees in self.trees])
        return Opinions(probabilities, heard, fused, second, self.trees_share)


def personalise(
    group: GroupModel, pool: PersonWindows, chosen: Sequence[Rows], settings: Personalisation, seed: int
) -> Personalised:
    """Learn from each of G choices of labelled windows.

    Args:
        group: the classifiers to start from.
        pool: windows of the person. Only the labels at `chosen` are used; the others are used without their labels.
        chosen: G times rows of `pool`, one at least each.
        settings: how.
        seed: of the trees, and of the order of windows where there are batches.
    """
    torch.set_num_threads(1)
    scale = group.scale_of(pool)
    spoken_for = np.stack([_weights(pool, rows, group.persistence_s if settings.spreads else 0.0) for rows in chosen])
    person = standardised(pool, scale)
    networks = {name: GroupedClassifiers.from_network(network, len(chosen)) for name, network in group.networks.items()}
    if settings.epochs:
        for name, grouped in networks.items():
            _fine_tune(grouped, name, person, spoken_for, group, settings, seed)
    rows = window_vectors(pool.features, pool.mask, scale)
    trees = [_grow(rows, weights, settings.trees, seed) for weights in spoken_for] if settings.trees else []
    return Personalised(scale, networks, trees, settings.trees_share)


def _weights(pool: PersonWindows, rows: Rows, persistence: float) -> FloatArray:
    """(N, 3) what the labels at `rows` say of each window of the pool: one class each, nothing below LEAST_WEIGHT."""
    weights = spread(pool.times_s, rows, pool.labels[rows], persistence)
    likeliest = weights == weights.max(axis=1, keepdims=True)
    alone = likeliest.sum(axis=1, keepdims=True) == 1  # between two labels that differ nothing is known
    kept: FloatArray = np.where(likeliest & alone & (weights >= LEAST_WEIGHT), weights, 0)
    return kept


def _fine_tune(
    grouped: GroupedClassifiers,
    name: str,
    person: PersonWindows,
    spoken_for: FloatArray,
    group: GroupModel,
    settings: Personalisation,
    seed: int,
) -> None:
    heard = inputs(person, name)[2]
    rows, weights, labels = _lessons(spoken_for * heard[None, :, None], settings.most_windows)
    if settings.class_balanced:
        weights = class_balanced(labels, weights)
    features, mask, _ = inputs(person, name)
    features, mask = features[rows], mask[rows]  # (G, n, T, D), (G, n, T)
    if settings.replayed_share:
        features, mask, labels, weights = _with_replay(features, mask, labels, weights, group, name, settings)
    random = [np.random.default_rng([seed, run]) for run in range(len(grouped))]
    grouped.fit(features, mask, labels, weights, settings.epochs, settings.learning_rate, settings.batch, random)


def _lessons(spoken_for: FloatArray, most: int) -> tuple[Rows, FloatArray, Rows]:
    """Rows, weights and labels (G, n) of the windows that each run learns from, those with most weight first."""
    weights = spoken_for.max(axis=2)
    count = min(most, max(1, int((weights > 0).sum(axis=1).max())))
    rows = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    return (
        rows,
        np.take_along_axis(weights, rows, axis=1),
        np.take_along_axis(spoken_for.argmax(axis=2), rows, axis=1),
    )


def _with_replay(
    features: FloatArray,
    mask: FloatArray,
    labels: Rows,
    weights: FloatArray,
    group: GroupModel,
    name: str,
    settings: Personalisation,
) -> tuple[FloatArray, FloatArray, Rows, FloatArray]:
    """The lessons of every run, and behind them the training people's windows with their share of the weight."""
    old, known, heard = inputs(group.replayed, name)
    old, known, old_labels = old[heard], known[heard], group.replayed.labels[heard]
    runs = len(weights)
    even = class_balanced(old_labels, np.ones((1, len(old_labels)), np.float32))
    total = weights.sum(axis=1, keepdims=True) * settings.replayed_share / (1 - settings.replayed_share)
    return (
        np.concatenate([features, np.broadcast_to(old, (runs, *old.shape))], axis=1),
        np.concatenate([mask, np.broadcast_to(known, (runs, *known.shape))], axis=1),
        np.concatenate([labels, np.broadcast_to(old_labels, (runs, len(old_labels)))], axis=1),
        np.concatenate([weights, total * even / even.sum()], axis=1).astype(np.float32),
    )


def _grow(rows: FloatArray, weights: FloatArray, trees: int, seed: int) -> ExtraTreesClassifier:
    """Trees from windows (N, E) with weights (N, 3): every class that is spoken for has the same say."""
    known = np.flatnonzero(weights.max(axis=1) > 0)
    labels = weights[known].argmax(axis=1)
    balanced = class_balanced(labels, weights[known].max(axis=1)[None])[0]
    forest = ExtraTreesClassifier(trees, random_state=seed, n_jobs=1)
    return forest.fit(rows[known], labels, balanced * len(known))


def _all_classes(trees: ExtraTreesClassifier, rows: FloatArray) -> FloatArray:
    """Probabilities (N, 3), 0 for a class that was never labelled."""
    probabilities = np.zeros((len(rows), len(Level)), np.float32)
    probabilities[:, trees.classes_] = trees.predict_proba(rows)
    return probabilities
