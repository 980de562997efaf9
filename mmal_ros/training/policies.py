"""The trained criteria of a group: MMQL's Q-function and its control, learned on people scored without them.

The group's classifiers are fixed here, so Algorithm 1 goes through the windows of training people as classifiers see
them that have not seen these people (`GroupModel.held_out`): that is how windows of a new person will look.
"""

from __future__ import annotations

import torch

from mmal_ros.datatypes import FloatArray
from mmal_ros.selector import MMQL, Candidates, Criterion, policy_state, utility_of_q
from mmal_ros.training.episode_states import FrozenStates
from mmal_ros.training.group_models import GroupModel
from mmal_ros.training.mmql import Training, train
from mmal_ros.training.mmql_settings import PRODUCT, MMQLSettings, Run
from mmal_ros.training.q_functions import QNetwork

BUDGET = 20
"""Labels per episode, the middle of the paper's budgets. The optimum does not depend on it (mmql.md)."""


def trained_criteria(group: GroupModel, seed: int, settings: MMQLSettings = PRODUCT) -> dict[str, Criterion]:
    """The trained criteria by name, as `make_selector` takes them."""
    return {MMQL: q_criterion(learned_policy(group, seed, settings), settings)}


def learned_policy(group: GroupModel, seed: int, settings: MMQLSettings = PRODUCT) -> QNetwork:
    """Algorithm 1 with the group's classifiers; the same group, seed and settings give the same Q-function."""
    training = Training(FrozenStates([group.held_out], settings.state), [Run(seed, BUDGET)], settings)
    train(training)
    return training.policy(0)


def q_criterion(network: QNetwork, settings: MMQLSettings) -> Criterion:
    """Q(ask) - Q(no) of each candidate."""

    def utility(candidates: Candidates) -> FloatArray:
        state = policy_state(candidates.probabilities, candidates.heard, settings.state)
        with torch.no_grad():
            return utility_of_q(network(torch.from_numpy(state)).numpy())

    return utility
