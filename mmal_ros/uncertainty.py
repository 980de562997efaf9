"""Uncertainty is arithmetic on arrays of probabilities: what may be spent on it is another object's business."""

from __future__ import annotations

import math

import numpy as np

from mmal_ros.datatypes import FloatArray

TINY = np.finfo(np.float32).tiny
NOTHING, ALL = np.float32(0), np.float32(1)


def entropy(probabilities: FloatArray) -> FloatArray:
    """Entropy in nats over the last axis: 0 (sure) to ln of its length (no idea). Shape (..., K) -> (...)."""
    logarithms = np.log(np.maximum(probabilities, TINY))
    result: FloatArray = -np.add.reduce(probabilities * logarithms, axis=-1)  # what .sum() calls by a detour
    return result


def confidence(probabilities: FloatArray) -> FloatArray:
    """1 - H / ln K over the last axis, 0 to 1.

    MMQL 2019, eq. 5, with the sign that is meant and divided by ln K, so that no idea is 0 and not 1 - ln 3.
    """
    share = entropy(probabilities) / np.float32(math.log(probabilities.shape[-1]))
    result: FloatArray = np.maximum(ALL - share, NOTHING)  # "no idea" may round to below 0
    return result
