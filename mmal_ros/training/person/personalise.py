"""Personalisation: from the group's classifiers and a few labels of a person to classifiers of that person.

Many choices of labels of the same person are learned from at once: the runs of an experiment, or the one of a
session. `FIDELITY` is algorithm 2 of MMQL 2019; `PRODUCT` adds what pays on real people (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from mmal_ros.datatypes import FloatArray, Level
from mmal_ros.selector import vote
from mmal_ros.training.group.fit import EPOCHS, LEARNING_RATE
from mmal_ros.training.group.grouped import GroupedClassifiers, class_balanced
from mmal_ros.training.group.models import GroupModel, score
from mmal_ros.training.group.networks import EngagementLSTM
from mmal_ros.training.group.persistence import spread
from mmal_ros.training.group.windows import FEATURE_FUSION, inputs, standardised
from mmal_ros.training.people import PersonWindows, evenly
from mmal_ros.window_vectors import Scale, window_vectors

Rows = NDArray[np.int64]
NOTHING: Rows = np.empty(0, np.int64)
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
    """A label also speaks for the unlabelled windows near it in time (`training.group.persistence`)."""
    most_windows: int = 200
    """Windows learned from: all that are labelled, and of those around them as many more, evenly taken."""
    replayed_share: float = 0.0
    """Share of the loss (0 to below 1) that is on windows of the training people."""
    trees: int = 100
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
    """Of G runs, or of one where all have the group's."""
    trees: Sequence[ExtraTreesClassifier]
    """G, or none."""
    trees_share: float

    def opinions(self, windows: PersonWindows) -> Opinions:
        """What each of the models says of windows of this person, as measured."""
        person = standardised(windows, self.scale)
        probabilities, heard = score(self.networks, person)
        probabilities, fused = self._of_each(probabilities), None
        if FEATURE_FUSION in self.networks:
            features, mask, _ = inputs(person, FEATURE_FUSION)
            fused = self._of_each(self.networks[FEATURE_FUSION].probabilities(features, mask))
        second = None
        if self.trees:
            rows = _vectors(windows, self.scale, self.networks)
            second = np.stack([trees.predict_proba(rows).astype(np.float32) for trees in self.trees])
        return Opinions(probabilities, heard, fused, second, self.trees_share)

    def network(self, name: str, run: int) -> EngagementLSTM:
        """A copy of one run's network, on standardised windows."""
        networks = self.networks[name]
        return networks.network(run if len(networks) > 1 else 0)

    def _of_each(self, probabilities: FloatArray) -> FloatArray:
        """(G, ...) of networks that may be shared by all runs."""
        runs = max(len(probabilities), len(self.trees))
        return np.broadcast_to(probabilities, (runs, *probabilities.shape[1:]))


def personalise(
    group: GroupModel,
    pool: PersonWindows,
    chosen: Sequence[Rows],
    settings: Personalisation,
    seed: int,
    device: str = "cpu",
    jobs: int = 1,
    unseen: Sequence[Rows] | None = None,
) -> Personalised:
    """Learn from each of G choices of labelled windows.

    Args:
        group: the classifiers to start from.
        pool: windows of the person. Only the labels at `chosen` are used; the others are used without their labels.
        chosen: G times rows of `pool`, one at least each.
        settings: how.
        seed: of the trees, and of the order of windows where there are batches.
        device: where the networks learn, `cpu` or `cuda`; the trees are always on the CPU.
        jobs: modalities that learn at the same time, each in one thread; the result is the same, bit by bit.
        unseen: G times rows, none of them chosen, for which no label speaks, however near it is; None: there are none.
    """
    torch.set_num_threads(1)
    scale = group.scale_of(pool)
    persistence = group.persistence_s if settings.spreads else 0.0
    lessons = _lessons(pool, chosen, unseen or [NOTHING] * len(chosen), persistence, settings.most_windows)
    person = standardised(pool, scale)
    runs = len(chosen) if settings.epochs else 1
    networks = {
        name: GroupedClassifiers.from_network(network, runs, device) for name, network in group.networks.items()
    }
    if settings.epochs:
        with ThreadPoolExecutor(jobs) as threads:
            learning = [
                threads.submit(_fine_tune, grouped, name, person, lessons, group, settings, seed)
                for name, grouped in networks.items()
            ]
        for one in learning:
            one.result()
    vectors = _vectors(pool, scale, networks)
    trees = [_grow(vectors, *lesson, settings.trees, seed) for lesson in lessons] if settings.trees else []
    return Personalised(scale, networks, trees, settings.trees_share)


def group_only(group: GroupModel, windows: PersonWindows) -> Personalised:
    """The group's classifiers as they are, one run, for a person of whom these unlabelled windows are known."""
    networks = {name: GroupedClassifiers.from_network(network, 1) for name, network in group.networks.items()}
    return Personalised(group.scale_of(windows), networks, (), 0.0)


Lesson = tuple[Rows, Rows, FloatArray]
"""Rows of the pool, the class that each speaks for, and with which weight (0-1]: (n,) each."""


def _lessons(
    pool: PersonWindows, chosen: Sequence[Rows], unseen: Sequence[Rows], persistence: float, most: int
) -> list[Lesson]:
    """What each run learns from."""
    lessons = []
    for rows, hidden in zip(chosen, unseen, strict=True):
        weights = spread(pool.times_s, rows, pool.labels[rows], persistence)
        weights[hidden] = 0
        lessons.append(_lesson(weights, rows, most))
    return lessons


def _lesson(weights: FloatArray, labelled: Rows, most: int) -> Lesson:
    """The labelled windows and some of those that they speak for; `weights` (N, 3) as `spread` gives them."""
    likeliest = weights.max(axis=1)
    clear = (weights == likeliest[:, None]).sum(axis=1) == 1  # half-way between two labels that differ nothing is known
    around = np.setdiff1d(np.flatnonzero(clear & (likeliest >= LEAST_WEIGHT)), labelled)
    rows = np.concatenate([labelled, around[evenly(len(around), most - len(labelled))]])
    return rows, weights[rows].argmax(axis=1), likeliest[rows]


def _fine_tune(
    grouped: GroupedClassifiers,
    name: str,
    person: PersonWindows,
    lessons: Sequence[Lesson],
    group: GroupModel,
    settings: Personalisation,
    seed: int,
) -> None:
    features, mask, heard = inputs(person, name)
    rows, labels, weights = _padded(lessons)
    weights = weights * heard[rows]
    if settings.class_balanced:
        weights = class_balanced(labels, weights)
    features, mask = features[rows], mask[rows]  # (G, n, T, D), (G, n, T)
    if settings.replayed_share:
        features, mask, labels, weights = _with_replay(features, mask, labels, weights, group, name, settings)
    random = [np.random.default_rng([seed, run]) for run in range(len(grouped))]
    grouped.fit(features, mask, labels, weights, settings.epochs, settings.learning_rate, settings.batch, random)


def _padded(lessons: Sequence[Lesson]) -> tuple[Rows, Rows, FloatArray]:
    """Rows, classes and weights (G, n); a shorter lesson ends with weights of 0."""
    longest = max(len(rows) for rows, *_ in lessons)
    padded = [[np.pad(part, (0, longest - len(part))) for part in lesson] for lesson in lessons]
    rows, labels, weights = zip(*padded, strict=True)
    return np.stack(rows), np.stack(labels), np.stack(weights)


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


def _vectors(windows: PersonWindows, scale: Scale, networks: Mapping[str, GroupedClassifiers]) -> FloatArray:
    """What the trees see, (N, E): the modalities that there is a classifier of. A model set hears no others."""
    mean, deviation = ({m: part[m] for m in part if m in networks} for part in (scale.mean, scale.deviation))
    return window_vectors(windows.features, windows.mask, Scale(mean, deviation))


def _grow(
    vectors: FloatArray, rows: Rows, labels: Rows, weights: FloatArray, trees: int, seed: int
) -> ExtraTreesClassifier:
    """Trees from a lesson: every class that is spoken for has the same say. `vectors` (N, E) of the pool.

    They give three probabilities, 0 for a class that was never labelled: each class has a window of weight 0 besides,
    which changes no tree.
    """
    balanced = class_balanced(labels, weights[None])[0]
    return ExtraTreesClassifier(trees, random_state=seed, n_jobs=1).fit(
        vectors[np.append(rows, [0] * len(Level))],
        np.append(labels, np.arange(len(Level))),
        np.append(balanced, np.zeros(len(Level))),
    )
