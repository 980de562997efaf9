"""What a curve of scores over budgets says in one number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

Numbers = NDArray[np.float64]
SHARE_OF_ALL = 0.95
"""Of the score with all labels: what counts as having got there."""


def area_under_curve(budgets: Numbers, scores: Numbers) -> Numbers:
    """Mean height of curves (..., B) over the logarithm of the budgets (B,): 5 to 10 counts as much as 10 to 20.

    Trapezoids over the logarithm, as in the Active Learning Challenge (Guyon et al. 2011), divided by their width, so
    that it reads like a score. With one budget it is the score.
    """
    if len(budgets) == 1:
        return scores[..., 0]
    logarithms = np.log2(budgets)
    area: Numbers = trapezoid(scores, logarithms, axis=-1) / (logarithms[-1] - logarithms[0])
    return area


def labels_to_reach(budgets: Numbers, scores: Numbers, target: float) -> float:
    """The budget at which a curve (B,) first reaches the target, straight lines between the budgets (B,), rising.

    The smallest budget when it does at once; infinite when it never does. Straight lines lie below a curve that
    flattens, so it is rather too many labels than too few.
    """
    reached = np.flatnonzero(scores >= target)
    if not len(reached):
        return float("inf")
    after = int(reached[0])
    if after == 0:
        return float(budgets[0])
    lower, upper = scores[after - 1], scores[after]
    part = (target - lower) / (upper - lower)
    return float(budgets[after - 1] + part * (budgets[after] - budgets[after - 1]))
