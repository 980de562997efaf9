"""The control of the Q-function: how likely the vote is right, learned the plain way.

The optimal policy asks exactly where that is below 0.475, for any discount: an action does not change what comes next,
so Q(ask) - Q(no) = -0.05 - (2 p - 1).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import Tensor, nn

from mmal_ros.datatypes import FloatArray

FOLDS = 5
"""Most groups of people that take turns in calibrating."""
REGULARISATION = 0.01
"""C of the logistic regression: 230 products of 20 numbers, and windows that resemble one another."""
MOST_STEPS = 2_000
EDGE = 0.01
"""No probability is nearer to 0 or 1 than this where nothing was ever seen to the contrary."""


class VoteRight(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Logistic regression on the numbers of the state and their products: states (N, S) to probabilities (N, 1)."""

    def __init__(self, mean: FloatArray, deviation: FloatArray, weights: FloatArray, offset: float) -> None:
        """Mean and deviation (S,) of the state; a weight for each number and each product i <= j, in that order."""
        super().__init__()
        self.size = len(mean)
        first, second = np.triu_indices(self.size)
        for name, values in {"mean": mean, "deviation": deviation, "weights": weights}.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32))
        self.register_buffer("first", torch.from_numpy(first))
        self.register_buffer("second", torch.from_numpy(second))

    def forward(self, states: Tensor) -> Tensor:
        """(N, 1), 0-1, calibrated on people that the regression had not seen."""
        numbers = (states - self.mean) / self.deviation
        products = numbers.index_select(1, self.first) * numbers.index_select(1, self.second)
        scores = torch.cat([numbers, products], dim=1) @ self.weights.unsqueeze(1)
        probability: Tensor = torch.sigmoid(scores + self.offset)
        return probability


def fit_vote_right(states: FloatArray, right: NDArray[np.bool_], people: NDArray[np.int64]) -> VoteRight:
    """Learn from windows whose vote is known to be right or wrong; nothing is random.

    Args:
        states: (N, 16) or (N, 20), by `selector.policy_state`, of classifiers that have not seen the person.
        right: (N,).
        people: (N,) whose window it is. Calibrated (Platt 1999) on people that the regression has not seen.

    A vote that is never or always right, be it only of the people learned from when others are held out, has nothing
    to be told by: then p is the share of all, just inside 0-1.

    Raises:
        ValueError: fewer than two people.
    """
    count = len(np.unique(people))
    if count < 2:
        raise ValueError(f"{count} people; expected two at least, so that p is calibrated on somebody else")
    if len(np.unique(right)) < 2:
        return _constant(states.shape[1], right)
    regression = LogisticRegression(C=REGULARISATION, max_iter=MOST_STEPS)
    products = PolynomialFeatures(2, include_bias=False)
    pipeline = make_pipeline(StandardScaler(), products, StandardScaler(), regression)
    folds = list(GroupKFold(min(FOLDS, count)).split(states, right, people))
    if any(len(np.unique(right[others])) < 2 for others, _ in folds):
        return _constant(states.shape[1], right)
    fitted = CalibratedClassifierCV(pipeline, method="sigmoid", cv=folds, ensemble=False)
    (only,) = fitted.fit(states.astype(np.float64), right).calibrated_classifiers_
    (platt,) = only.calibrators
    return _as_module(only.estimator, slope=-platt.a_, offset=-platt.b_)


def _constant(size: int, right: NDArray[np.bool_]) -> VoteRight:
    """The same probability for every state."""
    probability = float(np.clip(right.mean(), EDGE, 1 - EDGE))
    nothing = np.zeros(size + size * (size + 1) // 2, np.float32)
    offset = float(np.log(probability / (1 - probability)))
    return VoteRight(np.zeros(size, np.float32), np.ones(size, np.float32), nothing, offset)


def _as_module(fitted: Pipeline, slope: float, offset: float) -> VoteRight:
    """The pipeline and Platt's line on top of it, as one regression."""
    scaler, _, again, regression = (step for _, step in fitted.steps)
    weights = regression.coef_[0] / again.scale_
    constant = float(regression.intercept_[0] - (weights * again.mean_).sum())
    return VoteRight(scaler.mean_, scaler.scale_, slope * weights, slope * constant + offset)
