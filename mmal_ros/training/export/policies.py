"""From a trained policy to the ONNX file that `selector.LearnedPolicy` loads."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from mmal_ros.model_card import OPSET
from mmal_ros.selector.policy import PROBABILITY_RIGHT, Q_VALUES, STATE
from mmal_ros.training.export.classifiers import BATCHES, EXPECTED_WARNINGS, TOLERANCE, ExportError
from mmal_ros.training.policy.q_functions import QNetwork
from mmal_ros.training.policy.vote_right import VoteRight

Policy = QNetwork | VoteRight


def export_policy(policy: Policy, path: Path) -> None:
    """Write a policy to `path` as ONNX: input `state` (N, S), output `q_values` (N, 2) or `probability_right` (N, 1).

    Raises:
        ExportError: the outputs differ from torch's by more than 1e-5, relative where they are above 1.
    """
    policy.eval()
    scratch = path.with_name(f".{path.name}.new")
    try:
        _export(policy, scratch)
        difference = largest_policy_difference(policy, scratch)
        if not difference <= TOLERANCE:
            raise ExportError(f"{path.name}: ONNX Runtime and torch differ by {difference:.1e}, allowed {TOLERANCE}")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def largest_policy_difference(policy: Policy, path: Path) -> float:
    """Largest difference between torch and the file over random states, relative where the output is above 1."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
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


def _export(policy: Policy, path: Path) -> None:
    with warnings.catch_warnings():
        for message, category in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        torch.onnx.export(
            policy,
            (torch.zeros(1, policy.size),),
            str(path),
            input_names=[STATE],
            output_names=[_output(policy)],
            dynamic_axes={name: {0: "windows"} for name in (STATE, _output(policy))},
            opset_version=OPSET,
            dynamo=False,
        )
