"""Value, standard deviation and slope of the last seconds of a signal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND

Times = NDArray[np.int64]
"""(n,) nanoseconds since the epoch, rising."""
Values = NDArray[np.float64]


def statistics(times_ns: Times, values: Values) -> Values:
    """(k, 3): newest value, standard deviation and least-squares slope per second of every column of `values` (n, k).

    A single value has neither deviation nor slope: both are 0.
    """
    count = len(values)  # sums instead of means: this runs for every signal in every step
    centred = values - values.sum(axis=0) / count
    seconds = (times_ns - times_ns[-1]) / NANOSECONDS_PER_SECOND
    seconds -= seconds.sum() / count
    spread = seconds @ seconds
    result = np.zeros((values.shape[1], 3))
    result[:, 0] = values[-1]
    result[:, 1] = np.sqrt((centred * centred).sum(axis=0) / count)
    if spread > 0:
        result[:, 2] = seconds @ centred / spread
    return result


def runs(times_ns: Times, values: Values, gap_ns: int) -> Iterator[tuple[Times, Values]]:
    """Cut a signal where its times are further apart than `gap_ns`; nothing of an empty one."""
    if len(times_ns):
        cuts = [0, *(np.flatnonzero(times_ns[1:] - times_ns[:-1] > gap_ns) + 1), len(times_ns)]
        for first, last in pairwise(cuts):
            yield times_ns[first:last], values[first:last]


class RollingSignal:
    """The last seconds of a signal of `columns` values per moment."""

    def __init__(self, columns: int, span_ns: int, fresh_ns: int) -> None:
        """`span_ns`: how far back the statistics reach; `fresh_ns`: how long the newest value stands."""
        self._span_ns = span_ns
        self._fresh_ns = fresh_ns
        self._times = np.empty(0, np.int64)
        self._values = np.empty((0, columns))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever added."""
        return not len(self._times)

    def add(self, times_ns: Times, values: Values) -> None:
        """Append `values` (n, k), which are newer than those before."""
        if not len(times_ns):
            return
        start = int(np.searchsorted(self._times, times_ns[-1] - self._span_ns, side="right"))
        self._times = np.concatenate((self._times[start:], times_ns))
        self._values = np.concatenate((self._values[start:], values))

    def read(self, now_ns: int) -> Values | None:
        """(k, 3) `statistics` of the span that ends now; None when the newest value is too old."""
        if not len(self._times) or now_ns - self._times[-1] > self._fresh_ns:
            return None
        # A fresh value may be older than a short span: it is then the only one.
        start = int(np.searchsorted(self._times, now_ns - self._span_ns, side="right"))
        start = min(start, len(self._times) - 1)
        return statistics(self._times[start:], self._values[start:])
