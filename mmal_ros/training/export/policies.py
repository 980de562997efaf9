"""From a trained policy to the ONNX file that `selector.LearnedPolicy` loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mmal_ros.files import replacing
from mmal_ros.onnx_session import open_session
from mmal_ros.selector.policy import PROBABILITY_RIGHT, Q_VALUES, STATE
from mmal_ros.training.export.checked import BATCHES, check, export_module
from mmal_ros.training.policy.q_functions import QNetwork
from mmal_ros.training.policy.vote_right import VoteRight

Policy = QNetwork | VoteRight


def export_policy(policy: Policy, path: Path) -> None:
    """Write a policy to `path` as ONNX: input `state` (N, S), output `q_values` (N, 2) or `probability_right` (N, 1).

    Raises:
        ExportError: the outputs differ from torch's by more than 1e-5, relative where they are above 1.
    """
    with replacing(path) as scratch:
        export_module(policy, scratch, (torch.zeros(1, policy.size),), [STATE], _output(policy))
        check(path, largest_policy_difference(policy, scratch))


def largest_policy_difference(policy: Policy, path: Path) -> float:
    """Largest difference between torch and the file over random states, relative where the output is above 1."""
    session = open_session(path)
    random = np.random.default_rng(0)
    differences = []
    for batch in BATCHES:
        states = random.random((batch, policy.size), dtype=np.float32)
        with torch.no_grad():
            expected = policy(torch.from_numpy(states)).numpy()
        (found,) = session.run([_output(policy)], {STATE: states})
        differences.append((np.abs(expected - found) / np.maximum(1, np.abs(expected))).max())
    return float(np.max(differences))  # NaN where one is NaN


def _output(policy: Policy) -> str:
    return Q_VALUES if isinstance(policy, QNetwork) else PROBABILITY_RIGHT
