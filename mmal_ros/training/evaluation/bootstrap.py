"""Means over people, and how sure they are: other people would have given other means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 4999
LEAST_PEOPLE = 6
"""With fewer there is no interval: five who all differ in one direction do so by chance in 6 % of the cases."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A mean over people and the interval around it; the three have one shape."""

    mean: Numbers
    low: Numbers
    high: Numbers
    """NaN for fewer than `LEAST_PEOPLE`: too little is known about other people then."""


def band(values: Numbers, seed: int = 0) -> Band:
    """Mean and 95 % interval over people, values (P, ...): one number per person, the seeds averaged before.

    People without a number (NaN anywhere) are left out. A paired difference is the band of the people's differences.
    Expanded percentile interval (Hesterberg 2015, "What teachers should know about the bootstrap", The American
    Statistician 69, sec. 4.4): the plain one is too narrow for fifteen people.
    """
    values = of_whole(values)
    unknown = np.full(values.shape[1:], np.nan)
    if len(values) < LEAST_PEOPLE:
        return Band(values.mean(axis=0) if len(values) else unknown, unknown, unknown)
    mean = values.mean(axis=0)
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=500,
        confidence_level=expanded_level(len(values)),
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return Band(mean, np.asarray(interval.low), np.asarray(interval.high))


def of_whole(values: Numbers) -> Numbers:
    """Without the people (first axis) who lack a number."""
    whole: Numbers = values[~np.isnan(values.reshape(len(values), -1)).any(axis=1)]
    return whole


def expanded_level(people: int) -> float:
    """The level that a percentile interval must be asked for to hold in 95 % of the cases with so few people."""
    width = np.sqrt(people / (people - 1)) * stats.t.ppf(0.5 + CONFIDENCE / 2, people - 1)
    return float(1 - 2 * stats.norm.sf(width))
