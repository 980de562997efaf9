"""What all exports share: a file appears only when ONNX Runtime computes from it what was trained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mmal_ros.model_card import OPSET

TOLERANCE = 1e-5
"""Largest difference between ONNX Runtime and what was trained."""
BATCHES = (1, 32)
"""Sizes of the batches that are compared."""
EXPECTED_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    ("You are using the legacy TorchScript-based ONNX export", DeprecationWarning),  # on purpose, see below
    ("The feature will be removed", DeprecationWarning),  # the exporter about itself
    ("Converting a tensor to a Python boolean", torch.jit.TracerWarning),  # nn.LSTM checks its input's shape
    ("Exporting a model to ONNX with a batch_size other than 1", UserWarning),  # batch 1 and 32 are compared
)


class ExportError(RuntimeError):
    """The exported graph does not compute what was trained; nothing was written."""


def check(path: Path, difference: float) -> None:
    """Refuse a graph that differs from what was trained, naming the file it was to be; raises ExportError."""
    if not difference <= TOLERANCE:  # NaN is refused, too
        raise ExportError(
            f"{path.name}: ONNX Runtime differs by {difference:.1e} from what was trained, allowed {TOLERANCE}"
        )


def export_module(
    module: nn.Module, path: Path, example: tuple[Tensor, ...], inputs: Sequence[str], output: str
) -> None:
    """Write a torch module as ONNX with any number of windows.

    The legacy exporter gives smaller and faster graphs than dynamo's (about 15 %, measured on ONNX Runtime 1.31).
    """
    module.eval()
    with warnings.catch_warnings():
        for message, category in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        torch.onnx.export(
            module,
            example,
            str(path),
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes={name: {0: "windows"} for name in (*inputs, output)},
            opset_version=OPSET,
            dynamo=False,
        )
