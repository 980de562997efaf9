"""People who do not exist, small enough to train on in a moment."""

from __future__ import annotations

import numpy as np

from mmal_ros.datatypes import Modality
from mmal_ros.training.people import PersonWindows

SIZES = {Modality.FACE: 4, Modality.PHYSIOLOGY: 2}
STEPS = 3


def chain(count: int, hop_s: float, persistence_s: float, random: np.random.Generator) -> np.ndarray:
    """Labels that now and then, after `persistence_s` on average, are drawn anew."""
    drawn = random.random(count) > np.exp(-hop_s / persistence_s)
    last = np.maximum.accumulate(np.where(drawn, np.arange(count), 0))
    return random.integers(3, size=count)[last]


def person(code: str, seed: int, count: int = 60, lost: float = 0.2, labels: np.ndarray | None = None) -> PersonWindows:
    """Two blocks of windows a second apart; every modality says something of the level, and is lost now and then."""
    random = np.random.default_rng(seed)
    made = chain(count, 1, 8, random)
    labels = made if labels is None else labels
    features, mask = {}, {}
    for modality, size in SIZES.items():
        means = np.random.default_rng(size).normal(size=(3, size)) + random.normal(size=size)
        known = (random.random((count, 1)) >= lost) * np.ones((1, STEPS))
        values = means[labels][:, None] + random.normal(size=(count, STEPS, size))
        features[modality] = (values * known[..., None]).astype(np.float32)
        mask[modality] = known.astype(np.float32)
    times_s = np.arange(count) + np.where(np.arange(count) < count // 2, 0, 100.0)
    return PersonWindows(code, features, mask, labels, times_s, (times_s > count).astype(np.int64))


def deaf_to(who: PersonWindows, modality: Modality) -> PersonWindows:
    """The same person, never heard in this modality."""
    return PersonWindows(
        who.code,
        who.features | {modality: np.zeros_like(who.features[modality])},
        who.mask | {modality: np.zeros_like(who.mask[modality])},
        who.labels,
        who.times_s,
        who.blocks,
    )


def labelled(who: PersonWindows, labels: np.ndarray) -> PersonWindows:
    """The same windows, as if an expert had said something else."""
    return PersonWindows(who.code, who.features, who.mask, labels, who.times_s, who.blocks)
