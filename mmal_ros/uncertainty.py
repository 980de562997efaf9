"""Uncertainty is arithmetic on arrays of probabilities: what may be spent on it is another object's business."""

from __future__ import annotations

import numpy as np

from mmal_ros.datatypes import FloatArray


def entropy(probabilities: FloatArray) -> FloatArray:
    """Entropy in nats over the last axis: 0 (sure) to ln of its length (no idea). Shape (..., K) -> (...)."""
    logarithms = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    result: FloatArray = -(probabilities * logarithms).sum(axis=-1)
    return result


def confidence(probabilities: FloatArray) -> FloatArray:
    """1 - H / ln K over the last axis, 0 to 1.

    MMQL 2019, eq. 5, with the sign that is meant and divided by ln K, so that no idea is 0 and not 1 - ln 3.
    """
    share = entropy(probabilities) / np.float32(np.log(probabilities.shape[-1]))
    result: FloatArray = np.maximum(np.float32(1) - share, np.float32(0))  # "no idea" may round to below 0
    return result
