"""The trained criteria of a group: MMQL's Q-function and its control, learned on people scored without them.

The group's classifiers are fixed here, so Algorithm 1 goes through the windows of training people as classifiers see
them that have not seen these people (`GroupModel.held_out`): that is how windows of a new person will look.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mmal_ros.datatypes import FloatArray
from mmal_ros.selector import (
    MMQL,
    MMQL_CONTENT,
    P_RIGHT,
    Candidates,
    Criterion,
    policy_state,
    utility_of_q,
    utility_of_right,
)
from mmal_ros.training.fingerprints import of_code
from mmal_ros.training.group.models import GroupModel
from mmal_ros.training.policy.episode_states import FrozenStates, states_of
from mmal_ros.training.policy.mmql import Training, train
from mmal_ros.training.policy.q_functions import QNetwork
from mmal_ros.training.policy.settings import PRODUCT, MMQLSettings, Run
from mmal_ros.training.policy.vote_right import VoteRight, fit_vote_right

CODE = of_code(
    Path(__file__).with_name(f"{name}.py") for name in ("mmql", "q_learning", "q_functions", "episode_states")
)
"""What makes a policy: other code, other file. As it was when it was imported, for that is what runs."""
BUDGET = 100
"""Labels per episode, the largest of the paper's budgets: the optimum does not depend on it (MMQL is a detector of
wrong votes), and 100 episodes of 5 or 20 labels are too few updates to come near it."""


def trained_criteria(
    group: GroupModel, seed: int, folder: Path | None = None, settings: MMQLSettings = PRODUCT
) -> dict[str, Criterion]:
    """The trained criteria by name, as `make_selector` takes them; with a folder, Q-functions are kept there."""
    of_content = replace(settings, content=True)
    return {
        MMQL: q_criterion(learned_policy(group, seed, folder, settings), settings),
        MMQL_CONTENT: q_criterion(learned_policy(group, seed, folder, of_content), of_content),
        P_RIGHT: right_criterion(learned_control(group, settings), settings),
    }


def learned_policy(
    group: GroupModel, seed: int, folder: Path | None = None, settings: MMQLSettings = PRODUCT
) -> QNetwork:
    """Algorithm 1 with the group's classifiers; the same group, seed and settings give the same Q-function.

    With a folder the training goes on from what is there of it, and stays there when it is finished.
    """
    training = policy_training(group, Run(seed, BUDGET), settings)
    train(training, folder and folder / f"{training.identity[:16]}-{CODE[:8]}.pt", every=25)
    return training.policy(0)


def policy_training(group: GroupModel, run: Run, settings: MMQLSettings, device: str = "cpu") -> Training:
    """Algorithm 1 with the group's classifiers, not begun yet."""
    return Training(FrozenStates([group.held_out], settings.state, device, settings.content), [run], settings, device)


def learned_control(group: GroupModel, settings: MMQLSettings = PRODUCT) -> VoteRight:
    """The probability that the vote is right, learned from the same windows; nothing is random."""
    people = group.held_out
    return fit_vote_right(
        *states_of(people, settings.state), np.repeat(np.arange(len(people)), [len(p.labels) for p in people])
    )


def q_criterion(network: QNetwork, settings: MMQLSettings) -> Criterion:
    """Q(ask) - Q(no) of each candidate."""
    return lambda candidates: utility_of_q(_answers(network, candidates, settings))


def right_criterion(control: VoteRight, settings: MMQLSettings) -> Criterion:
    """-0.05 - (2p - 1) of each candidate: above 0 where the vote is right with p < 0.475."""
    return lambda candidates: utility_of_right(_answers(control, candidates, settings)[:, 0])


def _answers(policy: QNetwork | VoteRight, candidates: Candidates, settings: MMQLSettings) -> FloatArray:
    """(N, 2) or (N, 1), what the policy says of the state, or of the content, of each candidate."""
    state = (
        candidates.features
        if settings.content
        else policy_state(candidates.probabilities, candidates.heard, settings.state)
    )
    with torch.no_grad():
        answers: FloatArray = policy(torch.from_numpy(state)).numpy()
    return answers
