"""What is done about numbers that are not there: one rule for every table.

A step of a modality is *not known*, mask 0 and all features 0, when more than half of its features are missing. A
feature that is missing in a step that is known holds the last measured value of the same stretch of recording, as
live extractors hold theirs (`features.physiology`); before the first one it has the median of all that was measured
of this feature in the set. So nothing from later in the stretch gets into a window by holding, and no label is used.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmal_ros.datatypes import FloatArray

Values = NDArray[np.float64]
LARGEST = float(np.finfo(np.float32).max)
MOST = 0.5
"""A share of missing features above this: the modality is not known."""


def beyond(values: Values) -> NDArray[np.bool_]:
    """Where a number is infinite, or larger than single precision can hold."""
    found: NDArray[np.bool_] = np.abs(values) > LARGEST
    return found


def is_known(values: Values) -> NDArray[np.bool_]:
    """(N, T) of values (N, T, D): whether at most half of the features are NaN."""
    known: NDArray[np.bool_] = np.isnan(values).mean(axis=2) <= MOST
    return known


def typical(values: Values) -> Values:
    """(D,) median of what was measured of each feature; NaN for one that never was."""
    flat = values.reshape(-1, values.shape[2])
    measured = ~np.isnan(flat).all(axis=0)
    medians = np.full(flat.shape[1], np.nan)
    medians[measured] = np.nanmedian(flat[:, measured], axis=0)
    return medians


def held(values: Values, typical_values: Values) -> tuple[FloatArray, FloatArray, int]:
    """The features (N, T, D) and mask (N, T) of one stretch in the order of time, and how many numbers were held."""
    known = is_known(values)
    flat = values.reshape(-1, values.shape[2])
    filled = pd.DataFrame(flat).ffill().fillna(pd.Series(typical_values)).to_numpy().reshape(values.shape)
    features: FloatArray = np.where(known[:, :, np.newaxis], filled, 0).astype(np.float32)
    return features, known.astype(np.float32), int(np.isnan(values[known]).sum())
