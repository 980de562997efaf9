"""A window as one row of numbers: what a distance between windows is measured in, and what a person's trees see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmal_ros.datatypes import FloatArray, Modality
from mmal_ros.engagement import LEAST_COVERAGE

FARTHEST = 5.0
"""Standardised features are clipped here: one broken measurement must not make a window unlike all others."""


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """What features are standardised by."""

    mean: Mapping[Modality, FloatArray]
    """(D,) per modality."""
    deviation: Mapping[Modality, FloatArray]
    """(D,) per modality, above 0."""


def window_vectors(
    features: Mapping[Modality, FloatArray], mask: Mapping[Modality, FloatArray], scale: Scale
) -> FloatArray:
    """Mean over the known steps of every standardised feature, modality after modality: (N, sum of all D).

    A modality that is not heard is 0 there, the mean. Each modality is divided by the root of its number of features,
    so that each has the same say in a distance.

    Args:
        features: (N, T, D) per modality; all modalities of `scale`.
        mask: (N, T) per modality.
        scale: of the person, or of the training people.
    """
    return np.concatenate([_part(features[m], mask[m], scale.mean[m], scale.deviation[m]) for m in scale.mean], axis=1)


def _part(features: FloatArray, mask: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    known = mask.sum(axis=1, keepdims=True)
    average = np.einsum("ntd,nt->nd", features, mask) / np.maximum(known, 1)
    standardised = np.clip((average - mean) / deviation, -FARTHEST, FARTHEST) / np.sqrt(np.float32(features.shape[2]))
    heard = mask.mean(axis=1, keepdims=True) >= LEAST_COVERAGE
    result: FloatArray = np.where(heard, standardised, 0).astype(np.float32)
    return result
