"""A window as one row of numbers: what a distance between windows is measured in, and what a person's trees see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmal_ros.datatypes import FloatArray, Modality
from mmal_ros.model_card import ModelCard
from mmal_ros.windowing import LEAST_COVERAGE

FARTHEST = 5.0
"""Standardised features are clipped here: one broken measurement must not make a window unlike all others."""


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """What features are standardised by."""

    mean: Mapping[Modality, FloatArray]
    """(D,) per modality."""
    deviation: Mapping[Modality, FloatArray]
    """(D,) per modality, above 0."""


def scale_of_card(card: ModelCard) -> Scale:
    """What the features of a model set are standardised by."""
    parts = {modality: card.modalities[modality] for modality in Modality if modality in card.modalities}
    return Scale(
        {modality: np.array(part.mean, np.float32) for modality, part in parts.items()},
        {modality: np.array(part.deviation, np.float32) for modality, part in parts.items()},
    )


class Vectoriser:
    """Makes vectors by one scale; what depends on the scale alone is worked out once, for the live graph.

    A vector is the mean over the known steps of every standardised feature, modality after modality. A modality that
    is not heard is 0 there, the mean. Each modality is divided by the root of its number of features, so that each has
    the same say in a distance.

    Attributes:
        size: E, the numbers in a vector: the sum of all D.
    """

    def __init__(self, scale: Scale) -> None:
        """`scale` is of the person, or of the training people."""
        sizes = [len(mean) for mean in scale.mean.values()]
        ends = np.cumsum(sizes).tolist()
        self.size = sum(sizes)
        self._places = {m: slice(end - size, end) for m, size, end in zip(scale.mean, sizes, ends, strict=True)}
        self._owner = np.repeat(np.arange(len(sizes)), sizes)  # which modality each number is of
        self._mean = np.concatenate([scale.mean[m] for m in self._places])
        self._deviation = np.concatenate([scale.deviation[m] for m in self._places])
        self._root = np.sqrt(np.array(sizes, np.float32))[self._owner]

    def __call__(self, features: Mapping[Modality, FloatArray], mask: Mapping[Modality, FloatArray]) -> FloatArray:
        """Vectors (N, E), each bit by bit the same however many windows there are.

        Args:
            features: (N, T, D) per modality, 0 where the mask is 0; all modalities of the scale.
            mask: (N, T) per modality.
        """
        count, steps = next(iter(mask.values())).shape
        known = np.empty((count, len(self._places)), np.float32)
        vectors = np.empty((count, self.size), np.float32)
        for column, (modality, place) in enumerate(self._places.items()):
            np.add.reduce(mask[modality], axis=1, out=known[:, column])
            np.add.reduce(features[modality], axis=1, out=vectors[:, place])
        # In place and without np.clip and np.where, which take longer than all the arithmetic on one window.
        vectors /= np.maximum(known, 1).take(self._owner, axis=1)
        vectors -= self._mean
        vectors /= self._deviation
        np.minimum(np.maximum(vectors, -FARTHEST, out=vectors), FARTHEST, out=vectors)
        vectors /= self._root
        vectors *= (known >= LEAST_COVERAGE * steps).take(self._owner, axis=1)
        return vectors


def window_vectors(
    features: Mapping[Modality, FloatArray], mask: Mapping[Modality, FloatArray], scale: Scale
) -> FloatArray:
    """Vectors (N, E) of windows (N, T, D), 0 where not known, and masks (N, T), by modality: see `Vectoriser`."""
    return Vectoriser(scale)(features, mask)
