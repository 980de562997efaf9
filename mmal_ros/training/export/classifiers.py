"""From a trained network to the ONNX file that the runtime loads."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from mmal_ros.datatypes import STEPS_PER_WINDOW
from mmal_ros.model_card import OPSET
from mmal_ros.models import INPUTS, OUTPUT
from mmal_ros.training.group.networks import EngagementLSTM

TOLERANCE = 1e-5
"""Largest difference of a probability between torch and ONNX Runtime."""
BATCHES = (1, 32)
EXPECTED_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    ("You are using the legacy TorchScript-based ONNX export", DeprecationWarning),  # on purpose, see below
    ("The feature will be removed", DeprecationWarning),  # the exporter about itself
    ("Converting a tensor to a Python boolean", torch.jit.TracerWarning),  # nn.LSTM checks its input's shape
    ("Exporting a model to ONNX with a batch_size other than 1", UserWarning),  # batch 1 and 32 are checked here
)


class ExportError(RuntimeError):
    """The exported graph does not compute what the network computes; nothing was written."""


def export_classifier(network: EngagementLSTM, path: Path) -> None:
    """Write the network to `path` as ONNX: inputs `features`, `mask`, output `probabilities`, any number of windows.

    The legacy exporter gives smaller and faster graphs than dynamo's (about 15 %, measured on ONNX Runtime 1.31).

    Raises:
        ExportError: probabilities differ by more than 1e-5 from torch's.
    """
    network.eval()
    scratch = path.with_name(f".{path.name}.new")
    try:
        _export(network, scratch)
        difference = largest_difference(network, scratch)
        if not difference <= TOLERANCE:
            raise ExportError(f"{path.name}: ONNX Runtime and torch differ by {difference:.1e}, allowed {TOLERANCE}")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def largest_difference(network: EngagementLSTM, path: Path) -> float:
    """Largest difference between torch and the file over random windows, half of their steps masked."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    differences = []
    for batch in BATCHES:
        noise = generator.normal(size=(batch, STEPS_PER_WINDOW, network.size)).astype(np.float32)
        features = network.mean.numpy() + 2 * network.deviation.numpy() * noise
        mask = generator.integers(2, size=(batch, STEPS_PER_WINDOW)).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(features), torch.from_numpy(mask)).numpy()
        (found,) = session.run([OUTPUT], dict(zip(INPUTS, (features, mask), strict=True)))
        differences.append(np.abs(expected - found).max())
    return float(np.max(differences))  # NaN where one is NaN


def _export(network: EngagementLSTM, path: Path) -> None:
    example = (torch.zeros(1, STEPS_PER_WINDOW, network.size), torch.ones(1, STEPS_PER_WINDOW))
    with warnings.catch_warnings():
        for message, category in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        torch.onnx.export(
            network,
            example,
            str(path),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "windows"} for name in (*INPUTS, OUTPUT)},
            opset_version=OPSET,
            dynamo=False,
        )
