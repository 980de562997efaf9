"""Which windows of a person may be asked about, and which ones test what was learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmal_ros.training.people import DataError, PersonWindows

Indices = NDArray[np.int64]
POOL_SHARE = 0.6
"""Of each block, from its beginning."""
TIME_RESOLUTION_S = 1e-6
"""Times that differ by less are equal: a window exactly `gap_s` after the pool is still too near."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of one person's windows, each rising; no row is in both."""

    pool: Indices
    """What a selector may ask about."""
    test: Indices
    """What is estimated and compared with the truth."""


def time_blocked(person: PersonWindows, gap_s: float, pool_share: float = POOL_SHARE) -> Split:
    """The main protocol: every block is cut in time, once, whoever selects.

    The first `pool_share` of a block's windows, by their number, are pool (one at least). Its windows up to `gap_s`
    after the last of them are near copies and left out, and what is later is test. A block too short to have
    anything later gives its pool and no test windows. Blocks are cut one by one: nothing is known here about the time
    between two of them.

    Args:
        person: all windows.
        gap_s: seconds, as `DataSet.gap_s` has them.
        pool_share: 0-1.

    Raises:
        DataError: no block is long enough to have test windows.
    """
    cuts = [
        _cut(np.flatnonzero(person.blocks == block), person.times_s, gap_s, pool_share)
        for block in np.unique(person.blocks)
    ]
    split = Split(
        np.sort(np.concatenate([pool for pool, _ in cuts])), np.sort(np.concatenate([test for _, test in cuts]))
    )
    if not len(split.test):
        raise DataError(
            f"person '{person.code}': none of {len(cuts)} blocks goes on for more than the gap of {gap_s:g} s after "
            f"its first {pool_share:.0%}, so nothing is left to test; label longer stretches, or leave this "
            "protocol out (--protocols)"
        )
    return split


def random_remainder(person: PersonWindows, selected: Indices) -> Split:
    """The paper's protocol (MMQL 2019, sec. 4.1): every window may be asked about, and tested if it was not.

    The test windows differ per selector and neighbour what was labelled, so it flatters whoever asks more. Nothing is
    left to test where all windows were selected.
    """
    rows = np.arange(len(person))
    return Split(rows, np.setdiff1d(rows, selected))


def _cut(rows: Indices, times_s: NDArray[np.float64], gap_s: float, pool_share: float) -> tuple[Indices, Indices]:
    pooled = max(1, int(len(rows) * pool_share + 1e-9))  # 0.6 * 35 is 21, whatever floats say
    late = times_s[rows] - times_s[rows[pooled - 1]] > gap_s + TIME_RESOLUTION_S
    return rows[:pooled], rows[late]
