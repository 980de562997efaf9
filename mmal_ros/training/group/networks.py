"""The classifier of one modality."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmal_ros.datatypes import FloatArray, Level

HIDDEN = 64
"""Units of the LSTM (MMQL 2019, sec. 4.1)."""
LARGEST_DEVIATION = 10.0
"""Standardised features are clipped here: a broken measurement must not drown the others."""


class EngagementLSTM(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """LSTM, mean of its hidden states over the steps, ReLU, linear layer (MMQL 2019, sec. 4.1).

    Standardisation, masking and temperature are part of it, so that they travel with the exported graph. The sigmoid
    that the paper has before the softmax is left out: with it no probability could exceed 0.576.

    Attributes:
        mean, deviation: (D,) of the training people's features.
        temperature: divides the logits; 1 until it is calibrated (Guo et al. 2017).
    """

    mean: Tensor
    deviation: Tensor
    temperature: Tensor

    def __init__(self, size: int) -> None:
        """`size` is D, the number of features."""
        super().__init__()
        self.size = size
        self.lstm = nn.LSTM(size, HIDDEN, batch_first=True)
        self.output = nn.Linear(HIDDEN, len(Level))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.register_buffer("temperature", torch.ones(()))

    def standardise_by(self, mean: FloatArray, deviation: FloatArray) -> None:
        """Set the statistics, (D,) each; a deviation of 0 counts as 1."""
        self.mean.copy_(torch.from_numpy(mean))
        self.deviation.copy_(torch.from_numpy(deviation))
        self.deviation[self.deviation == 0] = 1.0

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Calibrated probabilities (N, 3) of windows: features (N, T, D) as measured, mask (N, T) of 0 and 1."""
        return torch.softmax(self.logits(features, mask) / self.temperature, dim=1)

    def logits(self, features: Tensor, mask: Tensor) -> Tensor:
        """(N, 3) before temperature and softmax: what the loss wants."""
        standardised = ((features - self.mean) / self.deviation).clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION)
        hidden, _ = self.lstm(standardised * mask.unsqueeze(-1))  # (N, T, 64)
        scores: Tensor = self.output(torch.relu(hidden.mean(dim=1)))
        return scores
