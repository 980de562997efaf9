"""From a trained network to the ONNX file that the runtime loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mmal_ros.datatypes import STEPS_PER_WINDOW
from mmal_ros.files import replacing
from mmal_ros.models import INPUTS, OUTPUT
from mmal_ros.onnx_session import open_session
from mmal_ros.training.export.checked import BATCHES, check, export_module
from mmal_ros.training.group.networks import EngagementLSTM


def export_classifier(network: EngagementLSTM, path: Path) -> None:
    """Write the network to `path` as ONNX: inputs `features`, `mask`, output `probabilities`, any number of windows.

    Raises:
        ExportError: probabilities differ by more than 1e-5 from torch's.
    """
    example = (torch.zeros(1, STEPS_PER_WINDOW, network.size), torch.ones(1, STEPS_PER_WINDOW))
    with replacing(path) as scratch:
        export_module(network, scratch, example, INPUTS, OUTPUT)
        check(path, largest_difference(network, scratch))


def largest_difference(network: EngagementLSTM, path: Path) -> float:
    """Largest difference between torch and the file over random windows, half of their steps masked."""
    session = open_session(path)
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
