"""A person's windows as classifiers see them: standardised, one modality or all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray, Modality
from mmal_ros.training.group.fit import Windows, statistics
from mmal_ros.training.people import PersonWindows, evenly
from mmal_ros.window_vectors import Scale

FEATURE_FUSION = "feature-fusion"
"""The classifier that sees the features of all modalities at once (MMQL 2019, sec. 4.1)."""
MODALITIES = tuple(Modality)


def heard_modalities(people: Sequence[PersonWindows]) -> list[Modality]:
    """The modalities in which anybody is heard: those that there is a classifier of."""
    return [m for m in MODALITIES if m in people[0].features and any(person.heard(m).any() for person in people)]


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


def of_standardised(person: PersonWindows) -> Scale:
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


def stacked(persons: Sequence[PersonWindows], name: str) -> Windows:
    """The standardised windows of several people in which a classifier can be asked, with their labels."""
    parts = [
        (*(part[heard] for part in (features, mask)), person.labels[heard])
        for person in persons
        for features, mask, heard in [inputs(person, name)]
    ]
    features, masks, labels = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(masks), np.concatenate(labels)


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
    return person.take(evenly(len(person), count))
