"""How good answers are on one person's test windows, beside what a constant answer gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmal_ros.datatypes import Level

Classes = NDArray[np.int64]
NO_ANSWER = -1
"""What stands for the answer where no modality can be heard; it counts as wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """Accuracy and macro-F1, 0-1; NaN where there are no test windows."""

    accuracy: float
    f1_present: float
    """Mean F1 over the classes that occur in the truth."""
    f1_all: float
    """Mean F1 over all classes of the data set; one that neither occurs nor is answered counts 0."""
    confusion: Classes
    """(3, 3) counts (truth, answer), without the windows that got no answer."""


def score(truth: Classes, answers: Classes, classes: int = len(Level)) -> Score:
    """Compare answers (N,) with the truth (N,).

    Args:
        truth: 0 to `classes` - 1.
        answers: likewise, or `NO_ANSWER`.
        classes: how many the data set has.
    """
    answered = answers != NO_ANSWER
    cells = truth[answered] * len(Level) + answers[answered]
    confusion = np.bincount(cells, minlength=len(Level) ** 2).reshape(len(Level), len(Level))
    if not len(truth):
        return Score(np.nan, np.nan, np.nan, confusion)
    right, of_truth = np.diag(confusion), np.bincount(truth, minlength=len(Level))
    f1 = 2 * right / np.maximum(of_truth + confusion.sum(axis=0), 1)  # 2 TP / (2 TP + FN + FP)
    return Score(float(right.sum() / len(truth)), float(f1[of_truth > 0].mean()), float(f1[:classes].mean()), confusion)


def majority(labels: Classes) -> int:
    """The commonest class; of several the lowest. Raises ValueError when there are no labels."""
    if not len(labels):
        raise ValueError("no labels: there is no commonest class")
    return int(np.bincount(labels).argmax())


def constant(truth: Classes, answer: int, classes: int = len(Level)) -> Score:
    """What always answering the same gets: with the truth's `majority`, the most that any constant accuracy can be."""
    return score(truth, np.full_like(truth, answer), classes)


def score_columns(truth: Classes, answers: Classes, pool_labels: Classes, classes: int = len(Level)) -> dict[str, Any]:
    """The columns of a row that say how good the answers are.

    Two constants stand beside them: `constant_*` answers the commonest class of the test windows, which nobody could
    know, and `pool_constant_*` that of the pool, which whoever labels everything would know.
    """
    found = score(truth, answers, classes)
    return {
        "accuracy": found.accuracy,
        "f1_present": found.f1_present,
        "f1_all": found.f1_all,
        **_constant_columns("constant", truth, truth, classes),
        **_constant_columns("pool_constant", truth, pool_labels, classes),
        "confusion": found.confusion.ravel().tolist(),
    }


def _constant_columns(name: str, truth: Classes, labels: Classes, classes: int) -> dict[str, float]:
    found = constant(truth, majority(labels) if len(labels) else NO_ANSWER, classes)
    return {
        f"{name}_accuracy": found.accuracy,
        f"{name}_f1_present": found.f1_present,
        f"{name}_f1_all": found.f1_all,
    }
